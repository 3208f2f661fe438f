-- acquire: ask this node for its vote for one token.
--
-- KEYS  the lock (name), tenure:{name}:fence, tenure:{name}:queue, tenure:{name}:waiters,
--       tenure:node
-- ARGV  pass, owner, token, ttl in ms, ticket (0: does not wait, 1: give me a number), life of a
--       ticket in ms, channel to be woken on, meta
-- Gives {1, remaining}                                 voted
--       {2, remaining, fence, ticket, token, 0, 0, owner}   held; token 0: by no client of Tenure
--       {3, remaining, fence, ticket}                  free, but somebody alive is ahead, so long
--       {4, 0, fence, ticket}                          the token is not above the fence
--       {5}                                            this node does not vote
--
-- One vote a node: the lock's key, as Redlock has it.  A token must be above every token that this
-- node has voted for (fence) or forgotten (floor).  The same owner may go on to a higher token.
local LIFE_MAX = 60000
local STEP = 1000000
local TOKEN_MAX = 9007199254740991
local owner, token = ARGV[2], tonumber(ARGV[3])

local node = redis.call('HMGET', KEYS[5], 'pass', 'floor', 'voted')
if node[1] ~= ARGV[1] then return {5} end
local known = redis.call('HMGET', KEYS[2], 'owner', 'token', 'fence')
local fence = math.max(tonumber(known[3] or 0), tonumber(node[2] or 0))

-- Voted.  The node's own `voted` goes up in steps of a second, so that not each vote writes it: the
-- floor of another node may be that much too high, never too low.
local function vote()
    redis.call('HSET', KEYS[2], 'owner', owner, 'token', ARGV[3], 'fence', ARGV[3],
        'voted', ARGV[3], 'ttl', ARGV[4], 'meta', ARGV[8])
    if token > tonumber(node[3] or 0) then
        redis.call('HSET', KEYS[5], 'voted', math.min(token + STEP, TOKEN_MAX))
    end
    return {1, tonumber(ARGV[4])}
end

-- Mostly it is free, and nobody stands in line.
if token > fence and redis.call('EXISTS', KEYS[3]) == 0 and
    redis.call('SET', KEYS[1], owner, 'NX', 'PX', ARGV[4]) then
    return vote()
end

-- A place in the line: behind all that are here, whatever the clocks of clients say.  A number that
-- a majority gave is taken as it is, even where it is lower than ours: else the lines of two nodes
-- would never be the same.
local function enqueue(now)
    if ARGV[5] == '0' then return 0 end
    local number = tonumber(ARGV[5])
    if number == 1 then number = tonumber(redis.call('ZSCORE', KEYS[3], owner) or 0) end
    if number == 0 then
        local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')
        number = math.max(token, tonumber(last[2] or 0) + 1)
    end
    redis.call('ZADD', KEYS[3], number, owner)
    redis.call('HSET', KEYS[4], owner, string.format('%.0f', now + ARGV[6]) .. ' ' .. ARGV[7])
    redis.call('PEXPIRE', KEYS[3], LIFE_MAX)
    redis.call('PEXPIRE', KEYS[4], LIFE_MAX)
    return number
end

-- Who is first and alive, for how long yet, and its channel; the dead before it are removed.
local function first(now)
    while true do
        local head = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
        if not head then return nil end
        local note = redis.call('HGET', KEYS[4], head)
        local left = note and tonumber(string.match(note, '^%d+')) - now or 0
        if left > 0 and left <= LIFE_MAX then
            return head, left, string.match(note, '^%d+ (.*)$')
        end
        redis.call('ZREM', KEYS[3], head)
        redis.call('HDEL', KEYS[4], head)
    end
end

local function now_ms()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

local ticket = 0
local holder = redis.call('GET', KEYS[1])
if holder and holder == owner and known[1] == owner then
    if tonumber(known[2]) == token then return {1, redis.call('PTTL', KEYS[1])} end
elseif holder then
    ticket = enqueue(now_ms())
    local held = known[1] == holder and tonumber(known[2]) or 0
    return {2, redis.call('PTTL', KEYS[1]), fence, ticket, held, 0, 0, holder}
elseif redis.call('EXISTS', KEYS[3]) == 1 then
    local now = now_ms()
    local before = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
    ticket = enqueue(now)
    local head, left, channel = first(now)
    if head and head ~= owner then
        -- It is free, and it has become the turn of somebody who does not know.
        if head ~= before then
            redis.call('PUBLISH', channel,
                string.format('%.0f %d %s%s', fence, #KEYS[1], KEYS[1], head))
        end
        return {3, left, fence, ticket}
    end
end
if token <= fence then return {4, 0, fence, ticket} end

-- Who gets it waits no more: its place does not outlive its vote.  Otherwise a holder that died
-- would stand in front of the others when its lease is over.
if ticket > 0 and tonumber(ARGV[4]) < tonumber(ARGV[6]) then
    redis.call('HSET', KEYS[4], owner,
        string.format('%.0f', now_ms() + ARGV[4]) .. ' ' .. ARGV[7])
end
redis.call('SET', KEYS[1], owner, 'PX', ARGV[4])
return vote()
