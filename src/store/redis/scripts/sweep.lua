-- sweep: forget the fences of names that nobody has used for long.
--
-- KEYS  tenure:node
-- ARGV  pass, cursor ("0" at first), how many to look at, age in microseconds of token time
-- Gives {11, cursor ("0": all seen), forgotten}, or {5}: this node does not vote
--
-- The floor of the node goes over each fence before that is forgotten, so it forgets nothing that
-- a vote could need.  Age is counted in tokens, not on a clock: a fence is old when this node has
-- voted, for whatever name, for a token that is so much higher.
local node = redis.call('HMGET', KEYS[1], 'pass', 'floor', 'voted')
if node[1] ~= ARGV[1] then return {5} end
local floor = tonumber(node[2] or 0)
local old = tonumber(node[3] or 0) - tonumber(ARGV[4])
local scan = redis.call('SCAN', ARGV[2], 'MATCH', 'tenure:{*}:fence', 'COUNT', ARGV[3])
local idle = {}
for _, key in ipairs(scan[2]) do
    local fence = tonumber(redis.call('HGET', key, 'fence') or 0)
    local name = string.sub(key, 9, -8)
    if fence < old and redis.call('EXISTS', name) == 0 then
        floor = math.max(floor, fence)
        idle[#idle + 1] = key
    end
end
if #idle > 0 then
    redis.call('HSET', KEYS[1], 'floor', floor)
    for _, key in ipairs(idle) do redis.call('DEL', key) end
end
return {11, scan[1], #idle}
