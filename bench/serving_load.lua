-- The load that wrk makes: the paths of a file, at random; at the end its figures as one line of JSON.
-- wrk ... -s serving_load.lua URL -- PATHS [KEY]

local requests = {}

function init(arguments)
  math.randomseed(os.time())
  if arguments[2] then
    wrk.headers["Authorization"] = "Bearer " .. arguments[2]
  end
  for path in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("GET", path)
  end
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "errors": %d, "refused": %d, "seconds": %.6f, "p50": %d, "p90": %d, "p99": %d, "max": %d}\n',
    summary.requests, errors.connect + errors.read + errors.write + errors.timeout, errors.status, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
