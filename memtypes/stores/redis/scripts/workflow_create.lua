-- Create a workflow. KEYS: workflow, parent (or the workflow), index. ARGV: id, parent id or '', initial state, time of
-- creation, TTL, longest chain, what to do with members at the end, member of the index, TTL of the index.
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
  'on_end', ARGV[7], 'place', ARGV[8], 'initial', ARGV[3], 'snapshot', ARGV[3], 'snapshot_version', 0)
keep_open(KEYS[1], tonumber(ARGV[5]))
keep_ancestors(KEYS[1], lineage, tonumber(ARGV[5]))
-- Three random members of the index are removed if their workflow has expired, so that at most about a third are gone.
local name = string.len('00000000000000000:') + 1
local prefix = string.sub(KEYS[1], 1, #KEYS[1] - #string.sub(ARGV[8], name))
for _, member in ipairs(redis.call('ZRANDMEMBER', KEYS[3], 3)) do
  if redis.call('HGET', prefix .. string.sub(member, name), 'place') ~= member then
    redis.call('ZREM', KEYS[3], member)
  end
end
redis.call('ZADD', KEYS[3], 0, ARGV[8])
keep(KEYS[3], ARGV[9] + LEAVING)
return {'ok'}
