-- Return ancestor ids, and parent, status and version of each ancestor, oldest first, and of the workflow. KEYS:
-- workflow.
local workflow = redis.call('HMGET', KEYS[1], 'ancestors', 'lineage')
if not workflow[1] then return {'missing'} end
local links = {}
for _, key in ipairs(cjson.decode(workflow[2])) do
  table.insert(links, redis.call('HMGET', key, 'parent', 'status', 'version'))
end
table.insert(links, redis.call('HMGET', KEYS[1], 'parent', 'status', 'version'))
return {'ok', workflow[1], links}
