-- Replace all turns. KEYS: thread, backup (or the thread for none). ARGV: expected version or '', TTL of the backup,
-- contents of files as JSON by path, most bytes of all contents, then turn, tokens, rank and marks of each new turn.
local base = KEYS[1]
local thread = redis.call('HMGET', base, 'version', 'next')
if not thread[1] then return {'missing'} end
if ARGV[1] ~= '' and ARGV[1] ~= thread[1] then return {'version', tonumber(thread[1])} end
local count = redis.call('ZCARD', part(base, 'places'))
if KEYS[2] ~= base then
  redis.call('SET', KEYS[2], '[' .. table.concat(all(base), ',') .. ']', 'EX', ARGV[2])
end
empty(base)
redis.call('HDEL', base, 'summary', 'summary_tokens', 'pinned', 'pinned_tokens', 'gone')
local index, tokens = tonumber(thread[2]), 0
for position = 5, #ARGV, 4 do
  put(base, index, ARGV[position], ARGV[position + 1], ARGV[position + 2], ARGV[position + 3])
  tokens = tokens + ARGV[position + 1]
  index = index + 1
end
put_contents(base, ARGV[3], ARGV[4])
redis.call('HSET', base, 'version', thread[1] + 1, 'next', index, 'tokens', tokens)
refresh_chain(base)
return {'ok', thread[1] + 1, count}
