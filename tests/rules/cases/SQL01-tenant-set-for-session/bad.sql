SET app.current_tenant_id = '550e8400-e29b-41d4-a716-446655440000';
SELECT set_config('app.user_id', '42', false);
SET SESSION my.role TO 'clerk';
