-- Pause the items that belong to to-dos, or resume all items. KEYS: session, due sessions. ARGV: now, 1 to pause or 0, agents.
-- Returns how many changed. A paused item still expires when it would have, so the session is due at the same time.
local now, pause, changed = tonumber(ARGV[1]), ARGV[2] == '1', 0
local all = redis.call('HGETALL', session)
for index = 1, #all, 2 do
  local item = cjson.decode(all[index + 1])
  local selected = item.todo ~= '' or not pause
  if selected and alive(item, now) and reachable(item, ARGV[3]) and (item.paused or false) ~= pause then
    item.paused, item.revision = pause, item.revision + 1
    redis.call('HSET', session, all[index], cjson.encode(item))
    changed = changed + 1
  end
end
return changed
