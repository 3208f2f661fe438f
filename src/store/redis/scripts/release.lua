-- release: end a hold, or take back the votes for a token that came to nothing.
--
-- KEYS  the lock (name), tenure:{name}:fence, tenure:{name}:queue, tenure:{name}:waiters,
--       tenure:node
-- ARGV  owner, token, ticket, life of a ticket in ms (break: the grace), channel, what, pass; where
--       what is
--       "release"  by its holder       "abandon"  an attempt that failed, for good
--       "break"    by an administrator; the owner is not looked at, the token is
--       "yield"    an attempt that failed; its owner goes on waiting
-- Gives {8, 0, fence, ticket, 0, voted, ended}                 deleted, now or before; or it will
--                                                              end when its grace is over
--       {7, 0, fence, ticket, 0, voted, ended}                 was not here
--       {2, remaining, fence, ticket, token, voted, ended, owner}   it is somebody else's
--
-- The fence goes up to the token, so that a vote for it that is still on its way comes too late;
-- after the end of a real hold so does `ended`, and with it no heal is taken.  Only the owner's own
-- value is deleted, and only as far as this token: a late message of an old attempt does not touch
-- a newer one.  This is no vote, so every node does it, admitted or not; but
-- one that is not is no witness: what it has may be old, and it may have forgotten who came after.
local LIFE_MAX = 60000
local owner, token, what = ARGV[1], tonumber(ARGV[2]), ARGV[6]

local known = redis.call('HMGET', KEYS[2], 'owner', 'token', 'fence', 'voted', 'ended', 'freed')
local fence = math.max(tonumber(known[3] or 0), token)
local fence_text = fence == token and ARGV[2] or known[3] -- numbers are slow to write
local node = redis.call('HMGET', KEYS[5], 'pass', 'floor')
local voted = tonumber(known[4] or node[2] or 0) -- what was forgotten is below the floor
local is_witness = node[1] == ARGV[7]
if not is_witness then voted = 9007199254740991 end
local ended, ended_text = tonumber(known[5] or 0), known[5] or '0'
local held = tonumber(known[2] or 0)
if (what == 'release' or what == 'break') and token > ended then
    ended, ended_text = token, ARGV[2]
end

local holder = redis.call('GET', KEYS[1])
local is_deleted = false
local is_breaking = false
if holder and known[1] == holder then
    if what == 'break' then
        is_deleted = held == token
        if is_deleted and tonumber(ARGV[4]) > 0 then
            is_deleted = false
            is_breaking = true
            redis.call('HSET', KEYS[2], 'breaking', ARGV[2])
            if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[4]) then
                redis.call('PEXPIRE', KEYS[1], ARGV[4])
            end
        end
    else
        is_deleted = holder == owner and held <= token
    end
end
if is_deleted then
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[2], 'fence', fence_text, 'ended', ended_text, 'freed', known[2])
else
    redis.call('HSET', KEYS[2], 'fence', fence_text, 'ended', ended_text)
end

local function now_ms()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The place in the line: kept by who yields, given up by all others.
local ticket = 0
local before = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
local had = before and tonumber(redis.call('ZSCORE', KEYS[3], owner) or 0) or 0
if what == 'yield' then
    ticket = tonumber(ARGV[3]) -- what a majority gave is taken as it is
    if ticket == 1 then ticket = had end
    if ticket == 0 then
        local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')
        ticket = math.max(token, tonumber(last[2] or 0) + 1)
    end
    redis.call('ZADD', KEYS[3], ticket, owner)
    redis.call('HSET', KEYS[4], owner,
        string.format('%.0f', now_ms() + ARGV[4]) .. ' ' .. ARGV[5])
    redis.call('PEXPIRE', KEYS[3], LIFE_MAX)
    redis.call('PEXPIRE', KEYS[4], LIFE_MAX)
elseif what ~= 'break' and had > 0 then
    redis.call('ZREM', KEYS[3], owner)
    redis.call('HDEL', KEYS[4], owner)
end

-- The first who is alive is woken when it is free and was not before, or was not the first: a hint,
-- and it carries the fence, to save a round.  Who has just given up its vote knows.
local is_free = is_deleted or not holder
local head = (before or what == 'yield') and is_free and redis.call('ZRANGE', KEYS[3], 0, 0)[1]
if not is_deleted and head == before then head = nil end
if is_deleted and head == owner then head = nil end
while head do
    local note = redis.call('HGET', KEYS[4], head)
    local left = note and tonumber(string.match(note, '^%d+')) - now_ms() or 0
    if left > 0 and left <= LIFE_MAX then
        redis.call('PUBLISH', string.match(note, '^%d+ (.*)$'),
            string.format('%.0f %d %s%s', fence, #KEYS[1], KEYS[1], head))
        break
    end
    redis.call('ZREM', KEYS[3], head)
    redis.call('HDEL', KEYS[4], head)
    head = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
end

if is_breaking and is_witness then return {8, 0, fence, ticket, 0, voted, ended} end
-- Asked again: the same answer.
local is_freed = (is_deleted and held == token) or tonumber(known[6] or 0) == token
if is_freed and is_witness then return {8, 0, fence, ticket, 0, voted, ended} end
if is_free then return {7, 0, fence, ticket, 0, voted, ended} end
if known[1] ~= holder then held = 0 end
return {2, redis.call('PTTL', KEYS[1]), fence, ticket, held, voted, ended, holder}
