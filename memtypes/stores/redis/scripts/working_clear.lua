-- Clear items. KEYS: session, due sessions. ARGV: now, session id, to-do or '', item or '', agents, reason.
-- Returns their ids.
local now, ids = tonumber(ARGV[1]), {}
local all = redis.call('HGETALL', session)
for index = 1, #all, 2 do
  local item = cjson.decode(all[index + 1])
  local selected = (ARGV[3] == '' or item.todo == ARGV[3]) and (ARGV[4] == '' or all[index] == ARGV[4])
  if selected and alive(item, now) and reachable(item, ARGV[5]) then
    item.cleared, item.reason = now, ARGV[6]
    save(all[index], item)
    ids[#ids + 1] = all[index]
  end
end
if #ids > 0 then set_due(ARGV[2], now) end
return ids
