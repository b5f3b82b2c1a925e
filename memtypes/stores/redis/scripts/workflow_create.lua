-- Create a workflow. KEYS: workflow, parent (or the workflow). ARGV: id, parent id or '', initial state, time of
-- creation, TTL, longest chain, what to do with members at the end.
if redis.call('EXISTS', KEYS[1]) == 1 then return {'taken'} end
local ancestors, lineage = {}, {}
if ARGV[2] ~= '' then
  local parent = redis.call('HMGET', KEYS[2], 'ancestors', 'lineage')
  if not parent[1] then return {'no_parent'} end
  ancestors, lineage = cjson.decode(parent[1]), cjson.decode(parent[2])
  table.insert(ancestors, ARGV[2])
  table.insert(lineage, KEYS[2])
  for _, ancestor in ipairs(ancestors) do
    if ancestor == ARGV[1] then return {'cycle'} end
  end
  if #ancestors >= tonumber(ARGV[6]) then return {'deep'} end
end
redis.call('HSET', KEYS[1], 'version', 0, 'status', 'pending', 'parent', ARGV[2], 'created', ARGV[4],
  'updated', ARGV[4], 'ancestors', cjson.encode(ancestors), 'lineage', cjson.encode(lineage),
  'on_end', ARGV[7], 'initial', ARGV[3], 'snapshot', ARGV[3], 'snapshot_version', 0)
redis.call('EXPIRE', KEYS[1], ARGV[5])
keep_ancestors(KEYS[1], lineage, tonumber(ARGV[5]))
return {'ok'}
