-- Delete items, and set when the session is due next. KEYS: session, due sessions.
-- ARGV: session id, then for each item its id and the record that it must still have, or '' for any. Returns how many.
local removed = 0
for index = 2, #ARGV, 2 do
  local expected = ARGV[index + 1]
  if expected == '' or redis.call('HGET', session, ARGV[index]) == expected then
    removed = removed + redis.call('HDEL', session, ARGV[index])
  end
end
local due = nil
for _, record in ipairs(redis.call('HVALS', session)) do
  local item = cjson.decode(record)
  local at = item.cleared > 0 and item.cleared or item.expires
  if not due or at < due then due = at end
end
if due then redis.call('ZADD', due_sessions, due, ARGV[1]) else redis.call('ZREM', due_sessions, ARGV[1]) end
return removed
