{{- define "mailveil.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "mailveil.labels" -}}
app.kubernetes.io/name: mailveil
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "mailveil.selector" -}}
app.kubernetes.io/name: mailveil
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mailveil.host" -}}
{{- (urlParse .).host | splitList ":" | first -}}
{{- end -}}

{{/* One value as TOML: strings, numbers, booleans and lists of them. */}}
{{- define "mailveil.toml" -}}
{{- if kindIs "string" . -}}{{ . | toJson }}
{{- else if kindIs "float64" . -}}{{ if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- else -}}{{ . | toJson }}
{{- end -}}
{{- end -}}

{{- define "mailveil.check" -}}
{{- $_ := required "settings.gateway.next_hop: the mail server that protected mail goes to, such as smtp://mail.example.org:25" .Values.settings.gateway.next_hop -}}
{{- if not (or .Values.settings.gateway.recipient_domains .Values.settings.gateway.clients) -}}
{{- fail "settings.gateway.recipient_domains: name the domains that you receive mail for, else mailveil would relay for everybody" -}}
{{- end -}}
{{- $copies := required "settings.copies.public_url: how readers reach the safe copies, such as https://copies.example.org" .Values.settings.copies.public_url -}}
{{- $console := required "settings.console.public_url: how administrators reach the console, such as https://mailveil.example.org" .Values.settings.console.public_url -}}
{{- if eq (include "mailveil.host" $copies) (include "mailveil.host" $console) -}}
{{- fail "settings.copies.public_url and settings.console.public_url need different names: a copy must not be a page of the console" -}}
{{- end -}}
{{- end -}}
