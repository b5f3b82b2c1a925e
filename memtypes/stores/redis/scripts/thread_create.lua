-- Create a thread, or return the id of the one with the same name. KEYS: thread; parent and name, or else the thread.
-- ARGV: id, parent id or '', longest chain, workflow id or '', then fields and values.
if KEYS[3] ~= KEYS[1] then
  local id = redis.call('GET', KEYS[3])
  local base = id and string.sub(KEYS[1], 1, #KEYS[1] - #ARGV[1]) .. id
  if id and redis.call('EXISTS', base) == 1 then
    local workflow = redis.call('HGET', base, 'workflow_id') or ''
    if ARGV[4] ~= '' and ARGV[4] ~= workflow then return {'workflow', workflow} end
    if ARGV[2] == '' then return {'ok', id} end
    if redis.call('HGET', base, 'parent') == ARGV[2] then return {'ok', id} end
    if ARGV[2] == id then return {'cycle'} end
    local above = redis.call('HGET', KEYS[2], 'ancestors')
    for _, ancestor in ipairs(cjson.decode(above or '[]')) do if ancestor == id then return {'cycle'} end end
    return {'other'}
  end
end
local ancestors, lineage = {}, {}
if ARGV[2] ~= '' then
  local parent = redis.call('HMGET', KEYS[2], 'ancestors', 'lineage')
  if not parent[1] then return {'no_parent'} end
  ancestors, lineage = cjson.decode(parent[1]), cjson.decode(parent[2])
  table.insert(ancestors, ARGV[2])
  table.insert(lineage, KEYS[2])
  if #ancestors >= tonumber(ARGV[3]) then return {'deep'} end
end
local fields = {'version', 0, 'next', 0, 'tokens', 0, 'parent', ARGV[2],
  'ancestors', cjson.encode(ancestors), 'lineage', cjson.encode(lineage)}
for position = 5, #ARGV do table.insert(fields, ARGV[position]) end
redis.call('HSET', KEYS[1], unpack(fields))
if KEYS[3] ~= KEYS[1] then
  redis.call('SET', KEYS[3], ARGV[1])
  redis.call('HSET', KEYS[1], 'name', KEYS[3])
end
refresh_chain(KEYS[1])
return {'ok', ARGV[1]}
