-- inspect: what this node knows of one lock.  Changes nothing, and asks for no pass.
--
-- KEYS  the lock (name), tenure:{name}:fence, tenure:{name}:queue, tenure:{name}:waiters,
--       tenure:node
-- ARGV  how many waiters to name
-- Gives {10, remaining, fence, waiters, token, voted, ended, owner, ttl, meta, pass, is it
--       breaking, then for each waiter its owner and its ticket}.  Held by no client of Tenure:
--       token 0.  Free: owner ''.
local known = redis.call('HMGET', KEYS[2],
    'owner', 'token', 'fence', 'voted', 'ended', 'ttl', 'meta', 'breaking')
local holder = redis.call('GET', KEYS[1])
local is_ours = holder and known[1] == holder
local reply = {10, redis.call('PTTL', KEYS[1]), tonumber(known[3] or 0),
    redis.call('ZCARD', KEYS[3]), is_ours and tonumber(known[2]) or 0, tonumber(known[4] or 0),
    tonumber(known[5] or 0), holder or '', is_ours and tonumber(known[6] or 0) or 0,
    is_ours and known[7] or '', redis.call('HGET', KEYS[5], 'pass') or '',
    is_ours and known[8] == known[2] and 1 or 0}
local count = tonumber(ARGV[1])
if count > 0 then
    local waiters = redis.call('ZRANGE', KEYS[3], 0, count - 1, 'WITHSCORES')
    for index = 1, #waiters, 2 do
        reply[#reply + 1] = waiters[index]
        reply[#reply + 1] = tonumber(waiters[index + 1])
    end
end
return reply
