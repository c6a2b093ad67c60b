{{- define "shieldwall.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "shieldwall.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := include "shieldwall.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "shieldwall.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "shieldwall.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The labels of the operator's pods that never change. Stewards know the operator by them. */}}
{{- define "shieldwall.selectorLabels" -}}
app.kubernetes.io/name: {{ include "shieldwall.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Labels of every object but the operator's own; `component` is set where an object is not the operator's. */}}
{{- define "shieldwall.labels" -}}
{{ include "shieldwall.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: shieldwall
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* (list $ image): an image by tag, and by digest where one is given. */}}
{{- define "shieldwall.image" -}}
{{- $root := index . 0 }}
{{- $image := index . 1 }}
{{- printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) }}
{{- with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* The security contexts of the restricted Pod Security Standard, and a read-only root besides. */}}
{{- define "shieldwall.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "shieldwall.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- end }}

{{/* operator.yaml, as shieldwall.control.config reads it. */}}
{{- define "shieldwall.operatorConfig" -}}
watchNamespaces: {{ toJson .Values.watchNamespaces }}
operatorNamespace: {{ .Release.Namespace | quote }}
operatorLabels:
  {{- include "shieldwall.selectorLabels" . | nindent 2 }}
rootSecret: {{ .Values.rootSecret | quote }}
trustDomain: {{ .Values.trustDomain | quote }}
clusterDomain: {{ .Values.clusterDomain | quote }}
runtimeImage:
  name: {{ include "shieldwall.image" (list . .Values.runtimeImage) | quote }}
  pullPolicy: {{ .Values.runtimeImage.pullPolicy }}
  pullSecrets: {{ toJson .Values.runtimeImage.pullSecrets }}
monitoringNamespaceLabels:
  {{- toYaml .Values.monitoringNamespaceLabels | nindent 2 }}
dns:
  {{- toYaml .Values.dns | nindent 2 }}
resources:
  {{- toYaml .Values.trainingResources | nindent 2 }}
leaderElection:
  {{- toYaml .Values.leaderElection | nindent 2 }}
  leaseName: {{ include "shieldwall.fullname" . }}
workers: {{ .Values.workers }}
requestsInFlight: {{ .Values.requestsInFlight }}
relistSeconds: {{ .Values.relistSeconds }}
metricsPort: {{ .Values.metrics.port }}
logLevel: {{ .Values.log.level }}
logFormat: {{ .Values.log.format }}
{{- end }}

{{/* Of the pod of `helm test`. Not the operator's: no steward and no Service may take it for one. */}}
{{- define "shieldwall.testLabels" -}}
app.kubernetes.io/name: {{ include "shieldwall.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end }}
