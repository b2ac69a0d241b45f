{{- define "sparank.name" -}}
{{- if contains "sparank" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-sparank" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end -}}

{{- define "sparank.selector" -}}
app.kubernetes.io/name: sparank
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sparank.labels" -}}
{{ include "sparank.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "sparank.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "sparank.name" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end -}}
{{- end -}}

{{- define "sparank.image" -}}
{{- $image := mustMergeOverwrite (deepCopy .root.Values.image) .image -}}
image: {{ printf "%s:%s" $image.repository (default .root.Chart.AppVersion $image.tag) | quote }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- end -}}

{{- /* The variables that all processes take from the Secret. */ -}}
{{- define "sparank.secrets" -}}
{{- $secret := .Values.existingSecret -}}
- name: DATABASE_URL
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: DATABASE_URL } }
- name: REDIS_URL
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: REDIS_URL, optional: true } }
- name: STORAGE_URL
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: STORAGE_URL } }
{{- end -}}

{{- define "sparank.settings" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{- /* What every pod has: nobody's token, no root, a file system that is read-only but for /data and /tmp. */ -}}
{{- define "sparank.pod" -}}
serviceAccountName: {{ include "sparank.serviceAccount" . }}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "sparank.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
volumeMounts:
  - { name: data, mountPath: /data }
  - { name: tmp, mountPath: /tmp }
{{- end -}}

{{- /* Scratch and cache: nothing in it has to outlive the pod. */ -}}
{{- define "sparank.volumes" -}}
volumes:
  - name: data
    emptyDir: { sizeLimit: {{ . }} }
  - name: tmp
    emptyDir: { sizeLimit: 1Gi }
{{- end -}}

{{- define "sparank.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end -}}

{{- /* Tasks of the kind of workers in .worker, in the whole pool: every API pod knows them, so the largest sum counts. */ -}}
{{- define "sparank.queueDepth" -}}
{{- $device := ternary "cpu" "gpu" (and (has .worker.engine (list "auto" "onnxruntime")) (not (hasKey .worker.resources.limits "nvidia.com/gpu"))) -}}
max(sum by (instance) (sparank_class_tasks{device={{ $device | quote }}{{ with .worker.class }}, class={{ . | quote }}{{ end }}})) or vector(0)
{{- end -}}
