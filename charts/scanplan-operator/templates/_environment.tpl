{{/* The operator's settings as environment variables. An empty list of denied targets would deny none, so it is left out. */}}

{{- define "scanplan.environment" -}}
- name: SCANPLAN_SCANNER_IMAGE
  value: {{ include "scanplan.image" (dict "root" . "image" .Values.scanner.image) | quote }}
- name: SCANPLAN_IMAGE_PULL_POLICY
  value: {{ .Values.scanner.image.pullPolicy | quote }}
- name: SCANPLAN_CLAIM_NAME
  value: {{ .Values.artifacts.claimName | quote }}
- name: SCANPLAN_ALLOWED_IMAGES
  value: {{ join "," .Values.policy.allowedImages | quote }}
- name: SCANPLAN_ALLOWED_CLAIMS
  value: {{ join "," .Values.policy.allowedClaims | quote }}
- name: SCANPLAN_PROXY
  value: {{ .Values.scanner.proxy | quote }}
- name: SCANPLAN_NO_PROXY
  value: {{ join "," .Values.scanner.noProxy | quote }}
- name: SCANPLAN_ALLOWED_PROXIES
  value: {{ join "," .Values.policy.allowedProxies | quote }}
- name: SCANPLAN_ALLOWED_RESOLVERS
  value: {{ join "," .Values.policy.allowedResolvers | quote }}
- name: SCANPLAN_ALLOWED_INTERACTSH_SERVERS
  value: {{ join "," .Values.policy.allowedInteractshServers | quote }}
- name: SCANPLAN_ALLOW_CODE
  value: {{ .Values.policy.allowCode | quote }}
- name: SCANPLAN_MAX_RANGE_ADDRESSES
  value: {{ .Values.policy.maxRangeAddresses | int | quote }}
{{ include "scanplan.podBounds" . }}
{{- if .Values.policy.deniedTargets }}
- name: SCANPLAN_DENIED_TARGETS
  value: {{ join "," .Values.policy.deniedTargets | quote }}
{{- end }}
- name: SCANPLAN_LIFECYCLE_EVENTS
  value: {{ .Values.events.lifecycle | quote }}
- name: SCANPLAN_DISCOVERY_ANY_SELECTOR
  value: {{ .Values.discovery.anySelector | quote }}
- name: SCANPLAN_DISCOVERY_NAMESPACES
  value: {{ join "," .Values.discovery.namespaces | quote }}
- name: SCANPLAN_EXCEPTION_MAX_DAYS
  value: {{ .Values.policy.exceptionMaxDays | quote }}
- name: SCANPLAN_UNGUARDED_PROTOCOLS
  value: {{ join "," .Values.policy.unguardedProtocols | quote }}
- name: SCANPLAN_DEFAULT_REQUESTS
  value: {{ include "scanplan.amounts" .Values.scanner.resources.requests | quote }}
- name: SCANPLAN_DEFAULT_LIMITS
  value: {{ include "scanplan.amounts" .Values.scanner.resources.limits | quote }}
- name: SCANPLAN_HEADLESS_MEMORY
  value: {{ .Values.scanner.headlessMemory | quote }}
- name: SCANPLAN_TMP_SIZE_LIMIT
  value: {{ .Values.scanner.tmpSizeLimit | quote }}
- name: SCANPLAN_SCHEDULES
  value: {{ .Values.schedules.enabled | quote }}
- name: SCANPLAN_NOTIFIERS
  value: {{ .Values.notifiers.enabled | quote }}
- name: SCANPLAN_NOTIFIER_HOSTS
  value: {{ join "," .Values.notifiers.allowedHosts | quote }}
- name: SCANPLAN_EXPORT_HOSTS
  value: {{ join "," .Values.exports.allowedHosts | quote }}
- name: SCANPLAN_PAGE_URL
  value: {{ .Values.notifiers.pageUrl | quote }}
- name: SCANPLAN_NAMESPACES
  value: {{ join "," (.Values.watchNamespaces | uniq) | quote }}
{{- if and .Values.watchNamespaces .Values.watchNamespaceSelector }}
{{- fail "watchNamespaces and watchNamespaceSelector are both set: which namespaces are meant? Leave one of them empty" }}
{{- end }}
- name: SCANPLAN_NAMESPACE_SELECTOR
  value: {{ .Values.watchNamespaceSelector | quote }}
- name: WORKER_CONCURRENCY
  value: {{ .Values.scanner.concurrency | quote }}
- name: SCANPLAN_WORKERS
  value: {{ .Values.workers | quote }}
- name: SCANPLAN_LEADER_ELECTION
  value: {{ .Values.leaderElection.enabled | quote }}
- name: SCANPLAN_LEASE_NAME
  value: {{ include "scanplan.fullname" . | quote }}
- name: SCANPLAN_POD_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
- name: SCANPLAN_METRICS_PORT
  value: {{ ternary .Values.metrics.port 0 .Values.metrics.enabled | quote }}
- name: SCANPLAN_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
{{- with include "scanplan.redis" . }}
{{ . }}
- name: SCANPLAN_CLUSTER_NAME
  value: {{ $.Values.redis.clusterName | quote }}
- name: SCANPLAN_SHARED_TASKS
  value: {{ $.Values.redis.sharedTasks | quote }}
{{- else }}
{{- if .Values.redis.sharedTasks }}
{{- fail "redis.sharedTasks needs a Redis that the clusters share: set redis.url or redis.existingSecret.name" }}
{{- end }}
{{- end }}
{{- end }}

{{/* What pods that are made for a plan may be: scan pods by the operator, reader pods by the API. */}}
{{- define "scanplan.podBounds" -}}
- name: SCANPLAN_ALLOWED_SERVICE_ACCOUNTS
  value: {{ join "," .Values.policy.allowedServiceAccounts | quote }}
- name: SCANPLAN_ALLOWED_PRIORITY_CLASSES
  value: {{ join "," .Values.policy.allowedPriorityClasses | quote }}
- name: SCANPLAN_ALLOWED_TOLERATIONS
  value: {{ join "," .Values.policy.allowedTolerations | quote }}
- name: SCANPLAN_ALLOWED_POD_METADATA
  value: {{ join "," .Values.policy.allowedPodMetadata | quote }}
- name: SCANPLAN_SCAN_DEFAULTS
  value: {{ empty .Values.scanDefaults | ternary "" (toJson .Values.scanDefaults) | quote }}
- name: SCANPLAN_POD_SECURITY_CONTEXT
  value: {{ kindIs "invalid" .Values.scanner.podSecurityContext | ternary "" (toJson .Values.scanner.podSecurityContext) | quote }}
{{- end }}

{{/* Users and groups of pods that write to claims, as the operator chooses them for scan pods. */}}
{{- define "scanplan.podUsers" -}}
{{- $configured := .Values.scanner.podSecurityContext }}
{{- if not (kindIs "invalid" $configured) }}
{{- toYaml $configured }}
{{- else if not (.Capabilities.APIVersions.Has "security.openshift.io/v1") -}}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
{{- end }}
{{- end }}

{{/* The API's settings. Its own namespace is the one that it begins with, which has to be one that it may read. */}}
{{- define "scanplan.apiEnvironment" -}}
{{- $service := include "scanplan.apiService" . }}
{{- $inside := printf "%s.%s" $service .Release.Namespace }}
{{- $names := list $service $inside (print $inside ".svc") (print $inside ".svc.cluster.local") }}
{{- $own := has .Release.Namespace .Values.watchNamespaces }}
- name: TASK_QUEUE_TYPE
  value: kubernetes
- name: ENABLE_ASYNC_TASKS
  value: "true"
- name: SCANPLAN_NAMESPACE
  value: {{ ternary .Release.Namespace (first .Values.watchNamespaces) (or $own (empty .Values.watchNamespaces)) | quote }}
- name: SCANPLAN_NAMESPACES
  value: {{ join "," (.Values.watchNamespaces | uniq) | quote }}
- name: SCANPLAN_API_HOST
  value: "*"
- name: SCANPLAN_API_PORT
  value: "8081"
- name: SCANPLAN_API_AUTHENTICATION
  value: kubernetes
- name: SCANPLAN_API_AUDIENCE
  value: {{ .Values.api.audience | quote }}
- name: SCANPLAN_API_HOSTS
  value: {{ concat $names .Values.api.hosts | join "," | quote }}
- name: SCANPLAN_API_CONNECTIONS
  value: {{ .Values.api.connections | quote }}
- name: SCANPLAN_API_CONNECTIONS_PER_ADDRESS
  value: {{ .Values.api.connectionsPerAddress | quote }}
- name: SCANPLAN_API_READER_PODS
  value: {{ .Values.api.readerPods | quote }}
{{ include "scanplan.podBounds" . }}
{{- end }}

{{/* Where Redis is, as an environment variable; nothing where none is named. */}}
{{- define "scanplan.redis" -}}
{{- with .Values.redis }}
{{- if and .url .existingSecret.name }}
{{- fail "redis.url and redis.existingSecret.name are both set: which Redis is meant? Leave one of them empty" }}
{{- end }}
{{- if .url -}}
- name: REDIS_URL
  value: {{ $.Values.redis.url | quote }}
{{- else if .existingSecret.name -}}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret.name | quote }}
      key: {{ .existingSecret.key | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* A map of quantities as one setting: cpu=100m,memory=256Mi. */}}
{{- define "scanplan.amounts" -}}
{{- $pairs := list -}}
{{- range $resource, $quantity := . -}}
{{- $pairs = append $pairs (printf "%s=%v" $resource $quantity) -}}
{{- end -}}
{{- join "," $pairs -}}
{{- end }}
