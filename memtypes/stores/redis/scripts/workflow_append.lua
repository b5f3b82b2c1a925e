-- Append an event, or return the stored answer of the first call with the same idempotency key.
-- KEYS: workflow, log, unrecorded workflows, stored answer (or the workflow). ARGV: event, status or '', expected
-- version or '', TTL, TTL of an ended log, most events, member of the unrecorded workflows, digest or '', answer.
-- The ancestors' keys are read from the workflow; all are in its slot.
local workflow = redis.call('HMGET', KEYS[1], 'version', 'status', 'lineage')
if not workflow[1] then return {'missing'} end
if ARGV[8] ~= '' then
  local stored = redis.call('HMGET', KEYS[4], 'digest', 'version', 'answer')
  if stored[1] and stored[1] ~= ARGV[8] then return {'other'} end
  if stored[1] then return {'again', tonumber(stored[2]), stored[3]} end
end
local version = tonumber(workflow[1])
local function open(status) return status == 'pending' or status == 'running' end
if not open(workflow[2]) then return {'ended', version, workflow[2]} end
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return {'version', version} end
if version >= tonumber(ARGV[6]) then return {'full', version} end
version = version + 1
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'version', version)
local log_ttl = ARGV[4]
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'status', ARGV[2])
  if not open(ARGV[2]) then
    log_ttl = ARGV[5]
    redis.call('SADD', KEYS[3], ARGV[7])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[1] .. ':members', ARGV[4])
redis.call('EXPIRE', KEYS[2], log_ttl)
for _, key in ipairs(cjson.decode(workflow[3])) do
  local status = redis.call('HGET', key, 'status')
  if status then
    redis.call('EXPIRE', key, ARGV[4])
    redis.call('EXPIRE', key .. ':members', ARGV[4])
    if open(status) then redis.call('EXPIRE', key .. ':log', ARGV[4]) end
  end
end
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[4], 'digest', ARGV[8], 'version', version, 'answer', ARGV[9])
  redis.call('EXPIRE', KEYS[4], ARGV[4])
end
return {'ok', version}
