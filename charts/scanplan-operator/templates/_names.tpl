{{/* Names, labels and the few values that more than one template needs. */}}

{{- define "scanplan.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "scanplan.fullname" -}}
{{- $name := include "scanplan.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains .Release.Name $name }}
{{- $name }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "scanplan.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "scanplan.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{/* A Service's name is a label of DNS with a letter first, which is shorter than other names. Takes root and suffix. */}}
{{- define "scanplan.service" -}}
{{- $name := printf "%s-%s" (include "scanplan.fullname" .root | trunc (int (sub 62 (len .suffix))) | trimSuffix "-") .suffix }}
{{- if not (regexMatch "^[a-z][-a-z0-9]*$" $name) }}
{{- fail (printf "%s can't be the name of a Service: set fullnameOverride to lower case letters, digits and dashes, with a letter first" $name) }}
{{- end }}
{{- $name }}
{{- end }}

{{- define "scanplan.apiService" -}}
{{- include "scanplan.service" (dict "root" . "suffix" "api") }}
{{- end }}

{{- define "scanplan.metricsService" -}}
{{- include "scanplan.service" (dict "root" . "suffix" "metrics") }}
{{- end }}

{{/* A CronJob's name has at most 52 characters: its Jobs have eleven more. */}}
{{- define "scanplan.retention" -}}
{{- printf "%s-retention" (include "scanplan.fullname" . | trunc 42 | trimSuffix "-") }}
{{- end }}

{{- define "scanplan.apiServiceAccount" -}}
{{- with .Values.api.serviceAccount }}
{{- .name | default (ternary (include "scanplan.apiService" $) "default" .create) }}
{{- end }}
{{- end }}

{{- define "scanplan.selector" -}}
app.kubernetes.io/name: {{ include "scanplan.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The labels that describe an object; the selector's win over those of users. */}}
{{- define "scanplan.labels" -}}
{{- $own := dict
  "app.kubernetes.io/part-of" "scanplan"
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- mergeOverwrite (deepCopy .Values.commonLabels) $own (include "scanplan.selector" . | fromYaml) | toYaml }}
{{- end }}

{{/* The metadata of all objects but the CRD. Takes root, name and, where it has one, namespace, labels, annotations. */}}
{{- define "scanplan.metadata" -}}
{{- $annotations := merge (deepCopy (.annotations | default dict)) .root.Values.commonAnnotations -}}
name: {{ .name | quote }}
{{- with .namespace }}
namespace: {{ . | quote }}
{{- end }}
labels:
  {{- merge (.labels | default dict) (include "scanplan.labels" .root | fromYaml) | toYaml | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* An image's reference, from its values and the root. */}}
{{- define "scanplan.image" -}}
{{- with .image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (.tag | default $.root.Chart.AppVersion) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The namespaces that get what scans need, as a YAML list under the key `names`. */}}
{{- define "scanplan.scanNamespaces" -}}
names:
  {{- .Values.scanNamespaces | default .Values.watchNamespaces | default (list .Release.Namespace) | uniq | toYaml | nindent 2 }}
{{- end }}

{{/* Those that get a claim: the workers' own is one of them. */}}
{{- define "scanplan.claimNamespaces" -}}
{{- $own := ternary (list .Release.Namespace) list (and .Values.worker.enabled .Values.worker.keepArtifacts) -}}
names:
  {{- concat (include "scanplan.scanNamespaces" . | fromYaml).names $own | uniq | toYaml | nindent 2 }}
{{- end }}

{{/* The label of all pods of the claim for artifacts. */}}
{{- define "scanplan.claimLabel" -}}
scanplan.dev/claim: {{ .Values.artifacts.claimName | trunc 63 | trimAll "-." | quote }}
{{- end }}

{{/* The affinity of a pod of that claim: where it is on one node, its pods go where the first one went. Takes root and the affinity to add to. */}}
{{- define "scanplan.withTheClaim" -}}
{{- $affinity := deepCopy (.affinity | default dict) }}
{{- if not (has "ReadWriteMany" .root.Values.artifacts.accessModes) }}
{{- $together := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "scanplan.claimLabel" .root | fromYaml)) }}
{{- $pods := $affinity.podAffinity | default dict }}
{{- $required := $pods.requiredDuringSchedulingIgnoredDuringExecution | default list }}
{{- $_ := set $affinity "podAffinity" (set $pods "requiredDuringSchedulingIgnoredDuringExecution" (append $required $together)) }}
{{- end }}
{{- toYaml $affinity }}
{{- end }}

{{/* The spec of the claim for artifacts. No storage class name is the cluster's default class, an empty one is none. */}}
{{- define "scanplan.claim" -}}
{{- with .Values.artifacts -}}
accessModes:
  {{- toYaml .accessModes | nindent 2 }}
{{- if not (kindIs "invalid" .storageClassName) }}
storageClassName: {{ .storageClassName | quote }}
{{- end }}
resources:
  requests:
    storage: {{ .size }}
{{- end }}
{{- end }}
