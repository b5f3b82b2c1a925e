-- KEYS: the workflow. For each ancestor, oldest first, and itself: parent, status and version, or nothing.
local found = redis.call('HMGET', KEYS[1], 'ancestors', 'lineage')
if not found[1] then return {'missing'} end
local links = {}
for _, key in ipairs(cjson.decode(found[2])) do
  table.insert(links, redis.call('HMGET', key, 'parent', 'status', 'version'))
end
table.insert(links, redis.call('HMGET', KEYS[1], 'parent', 'status', 'version'))
return {'ok', found[1], links}
