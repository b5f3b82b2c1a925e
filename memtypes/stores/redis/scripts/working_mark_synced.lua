-- Mark items as synced, delete those that are cleared or expired, and set when the session is due next.
-- KEYS: session, due sessions. ARGV: now, session id, then id and record of each item; changed records are skipped.
local now = tonumber(ARGV[1])
for index = 3, #ARGV, 2 do
  if redis.call('HGET', session, ARGV[index]) == ARGV[index + 1] then
    local item = cjson.decode(ARGV[index + 1])
    if not alive(item, now) then
      redis.call('HDEL', session, ARGV[index])
    elseif item.unsynced then
      item.unsynced, item.revision = false, item.revision + 1
      redis.call('HSET', session, ARGV[index], cjson.encode(item))
    end
  end
end
local due = nil
for _, record in ipairs(redis.call('HVALS', session)) do
  local item = cjson.decode(record)
  local at = (item.unsynced or item.cleared > 0) and now or item.expires
  if not due or at < due then due = at end
end
if due then redis.call('ZADD', due_sessions, due, ARGV[2]) else redis.call('ZREM', due_sessions, ARGV[2]) end
return 1
