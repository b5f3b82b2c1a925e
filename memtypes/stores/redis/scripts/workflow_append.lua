-- Append an event, or return the stored answer of the first call with the same idempotency key.
-- KEYS: workflow, log, unrecorded workflows, index, stored answer (or the workflow). ARGV: event, status or '', expected
-- version or '', TTL, TTL of an ended log, most events, member of the unrecorded workflows, digest or '', answer, time.
local base, ttl, log_ttl = KEYS[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local workflow = redis.call('HMGET', base, 'version', 'status', 'lineage')
if not workflow[1] then return {'missing'} end
if ARGV[8] ~= '' then
  local stored = redis.call('HMGET', KEYS[5], 'digest', 'version', 'answer')
  if stored[1] and stored[1] ~= ARGV[8] then return {'other'} end
  if stored[1] then return {'again', tonumber(stored[2]), stored[3]} end
end
local version = tonumber(workflow[1])
if not is_open(workflow[2]) then return {'ended', version, workflow[2]} end
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return {'version', version} end
if version >= tonumber(ARGV[6]) and ARGV[2] ~= 'expired' then return {'full', version} end
version = version + 1
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('HSET', base, 'version', version, 'updated', ARGV[10])
local status, lineage = ARGV[2] ~= '' and ARGV[2] or workflow[2], cjson.decode(workflow[3])
if status ~= workflow[2] then redis.call('HSET', base, 'status', status) end
keep_ancestors(base, lineage, ttl)
keep(KEYS[4], math.max(ttl, log_ttl) + LEAVING)
if is_open(status) then
  keep_open(base, ttl)
else
  redis.call('ZREM', open_set(base), base)
  for _, part in ipairs(PARTS) do redis.call('EXPIRE', base .. part, ttl) end
  redis.call('SADD', KEYS[3], ARGV[7])
  limit_log(base, log_ttl)
  for _, key in ipairs(lineage) do
    redis.call('ZREM', key .. ':live', base)
    local above = redis.call('HGET', key, 'status')
    if above and not is_open(above) then limit_log(key, log_ttl) end
  end
end
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[5], 'digest', ARGV[8], 'version', version, 'answer', ARGV[9])
  redis.call('EXPIRE', KEYS[5], ttl)
end
return {'ok', version}
