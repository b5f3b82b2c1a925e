-- The record of a key. ARGV: key, time up to which records have expired.
local at = redis.call('ZSCORE', times, ARGV[1])
if not at or tonumber(at) <= tonumber(ARGV[2]) then return false end
return redis.call('HGET', answers, ARGV[1])
