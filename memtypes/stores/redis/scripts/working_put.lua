-- Store an item; a to-do clears the earlier item of that to-do. KEYS: session, due sessions. ARGV: id, record,
-- session id, now.
local now, new = tonumber(ARGV[4]), cjson.decode(ARGV[2])
if new.is_todo then
  local all = redis.call('HGETALL', session)
  for index = 1, #all, 2 do
    local item = cjson.decode(all[index + 1])
    if all[index] ~= ARGV[1] and item.is_todo and item.todo == new.todo and alive(item, now) then
      item.cleared = now
      save(all[index], item)
    end
  end
end
redis.call('HSET', session, ARGV[1], ARGV[2])
set_due(ARGV[3], ARGV[4])
keep()
return 1
