-- The health of a ScanNotifier for Argo CD, from its conditions (docs/design.md, "Notifications").
local status = obj.status or {}

if obj.metadata.deletionTimestamp ~= nil then
  return {status = "Progressing", message = "being deleted"}
end
if status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "the operator has not seen this generation yet"}
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is_true(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end

local function said(name)
  local condition = conditions[name] or {}
  return (condition.reason or "") .. ": " .. (condition.message or "")
end

if is_true("Stalled") then
  return {status = "Degraded", message = said("Stalled")}
end
local ready = conditions["Ready"] or {}
if ready.reason == "Suspended" then
  return {status = "Suspended", message = said("Ready")}
end
if is_true("Reconciling") and ready.reason ~= "Pending" then
  return {status = "Degraded", message = said("Reconciling")}
end
if is_true("Ready") then
  return {status = "Healthy", message = said("Ready")}
end
return {status = "Progressing", message = "waiting for the operator"}
