-- Every change of a cache's records, each in one step. Layout of the records: cache_store.py.
-- KEYS[1]: the clock. ARGV: prefix of all keys (one hash tag, so one slot), operation, epoch for a new clock, then the operation's own.
-- Numbers are compared as text of fixed width: a Lua number has 53 bits, a position in PostgreSQL's log 64.
local prefix, operation, fresh = ARGV[1], ARGV[2], ARGV[3]
local zero = string.rep('0', 16)
local moment = redis.call('TIME')
local now = string.format('%012x', moment[1] * 1000 + math.floor(moment[2] / 1000))

local function get(kind, name) return redis.call('GET', prefix .. kind .. name) end

local function clock()
  local found = redis.call('GET', KEYS[1])
  if not found then
    found = fresh .. zero .. zero
    redis.call('SET', KEYS[1], found)
  end
  return found:sub(1, 8), found:sub(9, 24), found:sub(25, 40)
end

local function raised(number) return string.format('%016x', tonumber(number, 16) + 1) end

local function holds(mark, without)
  local kept = ''
  for at = 42, #mark, 28 do
    if mark:sub(at, at + 15) ~= without and mark:sub(at + 16, at + 27) > now then kept = kept .. mark:sub(at, at + 27) end
  end
  return kept
end

local function held(mark) return #mark > 41 and holds(mark, '') ~= '' end

local function keep(key, mark, milliseconds)
  local left = redis.call('PTTL', key)
  redis.call('SET', key, mark, 'PX', math.max(left, tonumber(milliseconds)))
end

-- 'good', 'held' or 'bad'
local function state(value, epoch)
  if value:sub(2, 9) ~= epoch then return 'bad' end
  local born = value:sub(10, 25)
  for at = 71, 70 + tonumber(value:sub(67, 70), 16) * 24, 24 do
    local tag = get('t', value:sub(at, at + 23))
    if not tag or tag:sub(2, 9) ~= epoch or tag:sub(10, 25) > born then return 'bad' end
    if held(tag) then return 'held' end
  end
  return 'good'
end

local function stored(name, epoch, seq, floor, born, body, life, version, kept, first)
  local verdict = 'stored'
  local function refuse(why) if verdict == 'stored' then verdict = why end end
  for at = first, #ARGV do
    local key = prefix .. 't' .. ARGV[at]
    local tag = redis.call('GET', key)
    local lowest = floor
    if not tag or tag:sub(2, 9) ~= epoch then
      local holding = tag and holds(tag, '') or ''
      keep(key, 'X' .. epoch .. seq .. floor .. holding, math.max(tonumber(kept), tonumber(life)))
      if holding ~= '' then refuse('held') end
      if seq ~= born then refuse('fenced') end
    else
      lowest = tag:sub(26, 41)
      if held(tag) then refuse('held') end
      if tag:sub(10, 25) > born then refuse('fenced') end
      if redis.call('PTTL', key) < tonumber(life) then redis.call('PEXPIRE', key, life) end
    end
    if version ~= zero and version < lowest then refuse('older') end
  end
  local there = get('v', name)
  if there and there:sub(1, 1) == 'X' and held(there) then refuse('held') end
  if there and there:sub(2, 9) == epoch then
    if version ~= zero and version < there:sub(26, 41) then refuse('older') end
  end
  if verdict == 'stored' then redis.call('SET', prefix .. 'v' .. name, 'V' .. epoch .. born .. body, 'PX', life) end
  return verdict
end

local function tell(seq, what) redis.call('PUBLISH', prefix .. 'i', seq .. what) end

if operation == 'adopt' then
  -- Another server process than the epoch was begun on: started again from an old copy, or a replica that became primary. It may lack
  -- the last invalidations, so nothing it has is good.
  local epoch, seq, floor = clock()
  if redis.call('GET', prefix .. 'r') ~= ARGV[4] then
    redis.call('SET', prefix .. 'r', ARGV[4])
    redis.call('SET', KEYS[1], fresh .. raised(seq) .. floor)
    tell(raised(seq), ' !')
  end
  return 'ok'
end

local epoch, seq, floor = clock()

if operation == 'lease' then
  local name, token, milliseconds, refresh, kept = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
  for at = 9, #ARGV do
    local key = prefix .. 't' .. ARGV[at]
    local tag = redis.call('GET', key)
    local holding = tag and holds(tag, '') or ''
    if not tag or tag:sub(2, 9) ~= epoch then
      keep(key, 'X' .. epoch .. seq .. floor .. holding, kept)
    elseif #tag > 41 and holding == '' then
      redis.call('SET', key, tag:sub(1, 41), 'KEEPTTL')
    end
    if holding ~= '' then return {'held'} end
  end
  local value = get('v', name)
  if value and value:sub(1, 1) == 'X' then
    if held(value) then return {'held'} end
  elseif value and refresh == '0' then
    local is = state(value, epoch)
    if is == 'held' then return {'held'} end
    if is == 'good' and value:sub(42, 53) > now then return {'value', value} end
  end
  local lease = get('l', name)
  if lease and lease ~= token then return {'taken', lease} end
  redis.call('SET', prefix .. 'l' .. name, token, 'PX', milliseconds)
  return {'won', epoch, seq}
end

if operation == 'fill' then
  local name, token, begun, born, body, life, version, kept = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
  if get('l', name) ~= token then return 'fenced' end
  redis.call('DEL', prefix .. 'l' .. name)
  if begun ~= epoch then return 'fenced' end
  return stored(name, epoch, seq, floor, born, body, life, version, kept, 12)
end

if operation == 'give up' then
  if get('l', ARGV[4]) == ARGV[5] then redis.call('DEL', prefix .. 'l' .. ARGV[4]) end
  return 'ok'
end

seq = raised(seq)

if operation == 'put' then
  local name, release, begun, born, body, life, version, kept = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
  redis.call('SET', KEYS[1], epoch .. seq .. floor)
  redis.call('DEL', prefix .. 'l' .. name)
  if release ~= '' then
    local keys = {prefix .. 'v' .. name}
    for at = 12, #ARGV do keys[#keys + 1] = prefix .. 't' .. ARGV[at] end
    for _, key in ipairs(keys) do
      local mark = redis.call('GET', key)
      if mark and mark:sub(1, 1) == 'X' then redis.call('SET', key, mark:sub(1, 41) .. holds(mark, release), 'KEEPTTL') end
    end
  end
  local verdict = 'fenced'
  if begun == '' or begun == epoch then
    verdict = stored(name, epoch, seq, floor, born == '' and seq or born, body, life, version, kept, 12)
  end
  if verdict ~= 'stored' and verdict ~= 'older' then
    local there = get('v', name)
    if there and there:sub(1, 1) == 'V' then redis.call('DEL', prefix .. 'v' .. name) end
  end
  tell(seq, ' v' .. name)
  return verdict
end

-- change
local version, release, hold, milliseconds, kept, everything, tags = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[10])
if version > floor then floor = version end
if everything == '1' then epoch = fresh end
redis.call('SET', KEYS[1], epoch .. seq .. floor)
local ends = string.format('%012x', tonumber(now, 16) + tonumber(milliseconds))
local said = everything == '1' and ' !' or ''
for at = 11, #ARGV do
  local is_tag = at < 11 + tags
  local key = prefix .. (is_tag and 't' or 'v') .. ARGV[at]
  local mark = redis.call('GET', key)
  local holding, lowest = '', is_tag and floor or zero
  if mark and mark:sub(1, 1) == 'X' then
    holding = holds(mark, release)
    if mark:sub(2, 9) == epoch then lowest = mark:sub(26, 41) end
  elseif mark and hold ~= '' and mark:sub(2, 9) == epoch then
    lowest = mark:sub(26, 41) -- the version that is there: a hold does not make way for an older one
  end
  if hold ~= '' then holding = holding .. hold .. ends end
  if version > lowest then lowest = version end
  if is_tag or holding ~= '' or lowest ~= zero then
    keep(key, 'X' .. epoch .. seq .. lowest .. holding, math.max(tonumber(kept), tonumber(milliseconds)))
  else
    redis.call('DEL', key)
  end
  if not is_tag then redis.call('DEL', prefix .. 'l' .. ARGV[at]) end
  said = said .. (is_tag and ' t' or ' v') .. ARGV[at]
end
tell(seq, said)
return {epoch, seq}
