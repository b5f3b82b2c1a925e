-- Store an item; a to-do clears the earlier item of that to-do. KEYS: session, due sessions.
-- ARGV: id, record, session id, now, agents. Returns when the session is due because of this.
local now, new = tonumber(ARGV[4]), cjson.decode(ARGV[2])
local due = new.expires
local all = redis.call('HGETALL', session)
for index = 1, #all, 2 do
  local item = cjson.decode(all[index + 1])
  local replaced = new.is_todo and item.is_todo and item.todo == new.todo and all[index] ~= ARGV[1]
  if replaced and alive(item, now) and reachable(item, ARGV[5]) then
    item.cleared, item.reason = now, 'replaced'
    due = now
    save(all[index], item)
  end
end
redis.call('HSET', session, ARGV[1], ARGV[2])
set_due(ARGV[3], due)
keep()
return due
