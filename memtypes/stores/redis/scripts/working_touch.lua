-- Restart the TTL of items. KEYS: session, due sessions. ARGV: now, then ids.
-- The session stays due at the earlier time; the sweep then finds nothing that has ended and sets the later one.
local now, touched = tonumber(ARGV[1]), 0
for index = 2, #ARGV do
  local record = redis.call('HGET', session, ARGV[index])
  local item = record and cjson.decode(record)
  if item and alive(item, now) then
    item.accessed, item.expires = math.max(item.accessed, now), math.max(item.expires, now + item.ttl)
    save(ARGV[index], item)
    touched = touched + 1
  end
end
if touched > 0 then keep() end
return touched
