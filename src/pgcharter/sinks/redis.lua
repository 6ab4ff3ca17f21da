-- What a copy in Redis does, each piece in one step. Stamps are compared as text of fixed width: a Lua number has 53 bits.
-- KEYS[1]: hash of the sink: who writes (`token`, `seq`), how far it is (`stamp`), and `floor:<to>`, the stamp of the last clear.
-- ARGV: operation, token, seq expected, then the operation's own.
local state, operation, token, seq = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

if operation == 'open' then
  redis.call('HSET', state, 'token', token, 'seq', seq)
  return redis.call('HGET', state, 'stamp')
end

local is = redis.call('HMGET', state, 'token', 'seq')
if is[1] ~= token or is[2] ~= seq then
  return redis.error_reply('LOST ' .. (not is[1] and 'has lost everything' or is[1] == token and 'has lost the last writes' or 'is written to by another writer'))
end

-- Deletes a row, unless something else is stored under its name.
local function gone(row)
  local kind = redis.call('TYPE', row)['ok']
  if kind == 'hash' or kind == 'string' then redis.call('DEL', row) end
end

if operation == 'floor' then
  local field, stamp = ARGV[4], ARGV[5]
  if stamp > (redis.call('HGET', state, field) or '') then redis.call('HSET', state, field, stamp) end
  return 'OK'
end

if operation == 'sweep' then
  -- prefix of rows, their stamps, floor, cursor: rows below the floor go, as many as one step of HSCAN gives
  local prefix, stamps, floor = ARGV[4], ARGV[5], ARGV[6]
  local found = redis.call('HSCAN', stamps, ARGV[7], 'COUNT', 1000)
  for at = 1, #found[2], 2 do
    if found[2][at + 1]:sub(1, 32) < floor then
      gone(prefix .. found[2][at])
      redis.call('HDEL', stamps, found[2][at])
    end
  end
  return found[1]
end

if operation == 'purge' then
  -- set of deaths, now, how long they are kept: tombstones that are old enough go
  local dead, before = ARGV[4], redis.call('TIME')[1] - ARGV[5]
  local gone = redis.call('ZRANGEBYSCORE', dead, '-inf', before, 'LIMIT', 0, 1000)
  for _, member in ipairs(gone) do
    local length, rest = member:match('^(%d+):(.*)$')
    local stamps, key = rest:sub(1, tonumber(length)), rest:sub(tonumber(length) + 1)
    local mark = redis.call('HGET', stamps, key)
    if mark and #mark > 32 then redis.call('HDEL', stamps, key) end
    redis.call('ZREM', dead, member)
  end
  return #gone
end

-- write: seq afterwards, stamp afterwards or '', 'hash' or 'json', set of deaths, prefix of rows, their stamps, field of their floor, rows:
--   P key stamp n (name value)…   all fields        U key stamp n (name value)… m name…   some, and those that are NULL
--   J key stamp text              a JSON document   D key stamp                           a delete
-- The first command is one that a full server refuses: after any other it would let the script take what it wants.
redis.call('HSET', state, 'seq', '')
local form, dead, prefix, stamps = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local floor = redis.call('HGET', state, ARGV[10]) or ''
local died, moment = tostring(#stamps) .. ':' .. stamps, nil
local at, last = 11, #ARGV
while at <= last do
  local op, key, stamp = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local mark = redis.call('HGET', stamps, key)
  local newer = stamp >= floor and (not mark or stamp >= mark:sub(1, 32))
  local there, row = mark and #mark == 32, prefix .. key
  at = at + 3
  if op == 'P' or op == 'J' then
    local count = op == 'J' and 1 or 2 * ARGV[at]
    if newer then
      local kind = redis.call('TYPE', row)['ok']
      if kind ~= 'none' and kind ~= (form == 'hash' and 'hash' or 'string') then
        return redis.error_reply('MISFIT ' .. row .. ' is a ' .. kind)
      end
      if op == 'J' then
        redis.call('SET', row, ARGV[at])
      else
        redis.call('DEL', row)
        for from = at + 1, at + count, 1000 do
          redis.call('HSET', row, unpack(ARGV, from, math.min(from + 999, at + count)))
        end
      end
      redis.call('HSET', stamps, key, stamp)
    end
    at = at + (op == 'J' and 1 or count + 1)
  elseif op == 'U' then
    local count = 2 * ARGV[at]
    local nulls = at + count + 1
    if newer and there then
      for from = at + 1, at + count, 2 do redis.call('HSET', row, ARGV[from], ARGV[from + 1]) end
      for from = nulls + 1, nulls + ARGV[nulls] do redis.call('HDEL', row, ARGV[from]) end
      redis.call('HSET', stamps, key, stamp)
    end
    at = nulls + ARGV[nulls] + 1
  elseif newer then
    moment = moment or redis.call('TIME')[1]
    if there then gone(row) end
    redis.call('HSET', stamps, key, stamp .. 'x')
    redis.call('ZADD', dead, moment, died .. key)
  end
end
redis.call('HSET', state, 'seq', ARGV[4])
if ARGV[5] ~= '' then redis.call('HSET', state, 'stamp', ARGV[5]) end
return 'OK'
