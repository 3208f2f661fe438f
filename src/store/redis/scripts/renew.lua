-- renew: keep a hold alive; or heal: vote again for a hold that this node has lost.
--
-- KEYS  the lock (name), tenure:{name}:fence, tenure:node
-- ARGV  pass, owner, token, ttl in ms, what, meta; where what is
--       "renew"     "proclaim": with another meta     "heal": vote again
-- Gives {1, remaining, is it breaking}                   renewed
--       {6, remaining}                                   healed: voted again
--       {2, remaining, fence, 0, token, voted, ended, owner}    somebody else's
--       {7, 0, fence, 0, 0, voted, ended}                not here
--       {5}                                              this node does not vote
--
-- A renewal never makes a lock anew, and never shortens it, however late it comes; nor does it
-- lengthen one whose end an administrator has set (breaking).  A heal is sent only by who has just
-- renewed on a majority; it needs a token above those of all holds that are known to have ended,
-- its own included.  The fence does not matter to it: votes and failed attempts of others raise
-- that, too.  Nor does the floor: a hold may be older than what its node remembers.
local owner, token = ARGV[2], tonumber(ARGV[3])

local node = redis.call('HMGET', KEYS[3], 'pass', 'voted', 'floor')
if node[1] ~= ARGV[1] then return {5} end
local known = redis.call('HMGET', KEYS[2],
    'owner', 'token', 'fence', 'voted', 'ended', 'ttl', 'breaking')
local fence = tonumber(known[3] or 0)
local voted = tonumber(known[4] or node[3] or 0) -- what was forgotten is below the floor
local ended = tonumber(known[5] or 0)
local held = tonumber(known[2] or 0)

local holder = redis.call('GET', KEYS[1])
if holder and holder == owner and known[1] == owner and held == token then
    local left = redis.call('PTTL', KEYS[1])
    local is_breaking = known[7] == ARGV[3]
    if left >= 0 and left < tonumber(ARGV[4]) and not is_breaking then
        redis.call('PEXPIRE', KEYS[1], ARGV[4])
    end
    -- This hold is real, so every one before it has ended.
    if ended < token - 1 then redis.call('HSET', KEYS[2], 'ended', token - 1) end
    if known[6] ~= ARGV[4] then redis.call('HSET', KEYS[2], 'ttl', ARGV[4]) end
    if ARGV[5] == 'proclaim' then redis.call('HSET', KEYS[2], 'meta', ARGV[6]) end
    return {1, redis.call('PTTL', KEYS[1]), is_breaking and 1 or 0}
end
if holder then
    if known[1] ~= holder then held = 0 end
    return {2, redis.call('PTTL', KEYS[1]), fence, 0, held, voted, ended, holder}
end
if ARGV[5] ~= 'heal' or token <= ended then return {7, 0, fence, 0, 0, voted, ended} end

redis.call('SET', KEYS[1], owner, 'PX', ARGV[4])
redis.call('HSET', KEYS[2], 'owner', owner, 'token', ARGV[3], 'fence', math.max(fence, token),
    'voted', math.max(voted, token), 'ended', math.max(ended, token - 1), 'ttl', ARGV[4])
-- Who renews does not tell the meta: what this node remembers of this very hold stays.
if ARGV[6] ~= '' or known[1] ~= owner or held ~= token then
    redis.call('HSET', KEYS[2], 'meta', ARGV[6])
end
if token > tonumber(node[2] or 0) then redis.call('HSET', KEYS[3], 'voted', ARGV[3]) end
return {6, tonumber(ARGV[4])}
