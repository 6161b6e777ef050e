#!/bin/sh
# Prints the keys that all nodes of one database share, as compose's .env, systemd's EnvironmentFile and `kubectl create secret
# --from-env-file` take them. Keep them as safe as the database, and apart from its backups: without them sealed secrets stay sealed.
set -eu

for name in BATUTA_MASTER_KEY BATUTA_AUDIT_KEY; do
  printf '%s=%s\n' "$name" "$(openssl rand -base64 32)"
done
printf 'BATUTA_JWT_SECRET=%s\n' "$(openssl rand -hex 32)"
printf 'BATUTA_ADMIN_KEY=bk_%s\n' "$(openssl rand -hex 12)"
printf 'BATUTA_ADMIN_SECRET=bs_%s\n' "$(openssl rand -hex 32)"
printf 'POSTGRES_PASSWORD=%s\n' "$(openssl rand -hex 32)"
