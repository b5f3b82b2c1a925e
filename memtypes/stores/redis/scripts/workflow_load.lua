-- KEYS: the workflow, its log. ARGV: the version asked for, or ''.
local found = redis.call('HMGET', KEYS[1],
  'version', 'parent', 'ancestors', 'snapshot_version', 'snapshot', 'initial')
if not found[1] then return {'missing'} end
local newest, taken = tonumber(found[1]), tonumber(found[4])
local upto = newest
if ARGV[1] ~= '' then upto = tonumber(ARGV[1]) end
if upto > newest then return {'ahead', newest} end
local base = found[5]
if upto < taken then taken, base = 0, found[6] end
local events = {}
if upto > taken then events = redis.call('LRANGE', KEYS[2], taken, upto - 1) end
local lost = 0
if newest > 0 and redis.call('EXISTS', KEYS[2]) == 0 then lost = 1 end
return {'ok', newest, found[2], found[3], base, taken, lost, events}
