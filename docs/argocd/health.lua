-- Argo CD's health check for FederatedTraining (group shieldwall.dev). See docs/gitops.md.
-- Lua 5.1, base library only, as Argo CD runs it: `obj` is the live object; a table with status and message is given back.

local function condition(name)
  for _, each in ipairs((obj.status and obj.status.conditions) or {}) do
    if each.type == name and each.status == "True" then
      return each
    end
  end
  return nil
end

local function health(status, message)
  return { status = status, message = message }
end

local metadata = obj.metadata or {}
local status = obj.status or {}

if metadata.deletionTimestamp ~= nil then
  return health("Progressing", "The training is being deleted.")
end

-- During a pause the operator acts on no change, so observedGeneration may stay behind for as long as people like.
-- Which spellings of "true" pause is the operator's to say: there is no string library here.
local annotation = metadata.annotations ~= nil and metadata.annotations["shieldwall.dev/paused"] or nil
local suspended = condition("Suspended")
local told = suspended ~= nil and suspended.reason == "Paused"
local paused = annotation == "true" or (annotation ~= nil and told)
local current = metadata.generation == nil or status.observedGeneration == metadata.generation

local stalled = condition("Stalled")
if stalled ~= nil and (current or paused) then
  return health("Degraded", stalled.message)
end
if paused then
  return health("Suspended", "The operator changes nothing while the annotation shieldwall.dev/paused is true.")
end
if status.observedGeneration == nil then
  return health("Progressing", "The operator has not seen the training yet.")
end
if not current then
  return health("Progressing", "The operator has not seen the last change of the spec yet.")
end

local reconciling = condition("Reconciling")
if reconciling ~= nil then
  return health("Progressing", reconciling.message)
end
local ready = condition("Ready")
if ready == nil then
  return health("Progressing", status.message or "The training is not ready yet.")
end
if suspended ~= nil then
  return health("Suspended", ready.message)
end
return health("Healthy", ready.message)
