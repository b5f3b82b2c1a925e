-- Shared by the scripts of working memory. Times are milliseconds by the caller's clock.
-- A session is a hash of records by item id: {memory, todo, agent, ttl, expires, accessed, cleared, reason, is_todo,
-- revision}.
-- `memory` is JSON in a string, which no script parses. `revision` makes every state of a record unique.
-- A sorted set has the sessions of the namespace by the time at which an item of theirs has ended or will expire.
local session, due_sessions = KEYS[1], KEYS[2]
local function save(id, item)
  item.revision = item.revision + 1
  redis.call('HSET', session, id, cjson.encode(item))
end
local function set_due(session_id, at) redis.call('ZADD', due_sessions, 'LT', at, session_id) end
local function alive(item, now) return item.cleared == 0 and item.expires > now end
-- Whether callers that are bound to `agents`, a JSON list, may change the item; an empty list binds to none.
local function reachable(item, agents)
  local bound = cjson.decode(agents)
  for _, agent in ipairs(bound) do
    if item.agent == agent then return true end
  end
  return #bound == 0
end
-- An upper bound of thirty days; sweeps move items out of Redis long before.
local function keep()
  redis.call('PEXPIRE', session, 2592000000)
  redis.call('PEXPIRE', due_sessions, 2592000000)
end
