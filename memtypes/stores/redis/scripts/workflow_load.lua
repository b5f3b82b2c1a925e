-- Return a state and the events from there to a version. KEYS: workflow, log. ARGV: version or ''.
local workflow = redis.call('HMGET', KEYS[1],
  'version', 'parent', 'ancestors', 'snapshot_version', 'snapshot', 'initial', 'on_end')
if not workflow[1] then return {'missing'} end
local newest, base_version = tonumber(workflow[1]), tonumber(workflow[4])
local target = newest
if ARGV[1] ~= '' then target = tonumber(ARGV[1]) end
if target > newest then return {'ahead', newest} end
local base = workflow[5]
if target < base_version then base_version, base = 0, workflow[6] end
local events = {}
if target > base_version then events = redis.call('LRANGE', KEYS[2], base_version, target - 1) end
local left, expires = redis.call('TTL', KEYS[1]), redis.call('ZSCORE', open_set(KEYS[1]), KEYS[1])
if expires then left = math.max(0, expires - redis.call('TIME')[1]) end
local expired = 0
if newest > 0 and redis.call('EXISTS', KEYS[2]) == 0 then expired = 1 end
return {'ok', newest, workflow[2], workflow[3], base, base_version, expired, events, workflow[7], left}
