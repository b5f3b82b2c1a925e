-- KEYS: the workflow, its log, those to be recorded, the kept answer (or the workflow again).
-- ARGV: event, status or '', expected version or '', life in s, life of an ended log in s, most events, member to be
-- recorded, digest or '', answer. The ancestors' keys come from the workflow; all lie in its slot.
local found = redis.call('HMGET', KEYS[1], 'version', 'status', 'lineage')
if not found[1] then return {'missing'} end
if ARGV[8] ~= '' then
  local kept = redis.call('HMGET', KEYS[4], 'digest', 'version', 'answer')
  if kept[1] and kept[1] ~= ARGV[8] then return {'other'} end
  if kept[1] then return {'again', tonumber(kept[2]), kept[3]} end
end
local version = tonumber(found[1])
local function open(status) return status == 'pending' or status == 'running' end
if not open(found[2]) then return {'ended', version, found[2]} end
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return {'version', version} end
if version >= tonumber(ARGV[6]) then return {'full', version} end
version = version + 1
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'version', version)
local life = ARGV[4]
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'status', ARGV[2])
  if not open(ARGV[2]) then
    life = ARGV[5]
    redis.call('SADD', KEYS[3], ARGV[7])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], life)
for _, key in ipairs(cjson.decode(found[3])) do
  local status = redis.call('HGET', key, 'status')
  if status then
    redis.call('EXPIRE', key, ARGV[4])
    if open(status) then redis.call('EXPIRE', key .. ':log', ARGV[4]) end
  end
end
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[4], 'digest', ARGV[8], 'version', version, 'answer', ARGV[9])
  redis.call('EXPIRE', KEYS[4], ARGV[4])
end
return {'ok', version}
