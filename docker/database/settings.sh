# shellcheck shell=bash
# PostgreSQL's settings for the two profiles of cluster.sh, which sources this.
# shellcheck disable=SC2154 # state, port, profile and run_uid are cluster.sh's

write_settings() {
  {
    cat <<CONF
# Written by cluster.sh at every start for the profile "$profile": changes here are lost.
# Put your own settings into local.conf beside this file; it is read after this one.
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
cluster_name = 'pika'
password_encryption = 'scram-sha-256'
log_line_prefix = '%m [%p] %q%u@%d '
log_timezone = 'UTC'
timezone = 'UTC'
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
jit = off
random_page_cost = 1.1
CONF
    "settings_$profile"
  } >"$state/data/pika.conf.new"
  ((EUID != 0)) || chown "$run_uid:$run_gid" "$state/data/pika.conf.new"
  mv "$state/data/pika.conf.new" "$state/data/pika.conf"
}

# Test data may be lost when the machine fails; many databases at a time.
settings_test() {
  cat <<CONF
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
max_connections = 200
shared_buffers = $(clamp $(($(memory_mb) / 16)) 64 512)MB
max_wal_size = 2GB
max_worker_processes = 24
timescaledb.max_background_workers = 8
max_locks_per_transaction = 256
CONF
}

# The machine is shared with Pika's server and perhaps more, so at most a quarter of its memory. Insert-only load: rare
# checkpoints, compressed WAL; many chunks: many locks.
settings_service() {
  local memory cores share=8
  memory=$(memory_mb) cores=$(nproc)
  ((memory < 7000)) || share=4
  cat <<CONF
# for $memory MB of memory and $cores cores
max_connections = 60
shared_buffers = $(clamp $((memory / share)) 64 8192)MB
effective_cache_size = $(clamp $((memory * 5 / 8)) 256 65536)MB
work_mem = $(clamp $((memory / 512)) 4 64)MB
maintenance_work_mem = $(clamp $((memory / 16)) 32 2047)MB
max_worker_processes = $((3 + 8 + cores + 3))
timescaledb.max_background_workers = 8
max_parallel_workers = $cores
max_parallel_workers_per_gather = $(clamp $((cores / 2)) 1 4)
max_locks_per_transaction = $(clamp $((memory / 16)) 256 1024)
checkpoint_timeout = 30min
max_wal_size = $(clamp "$memory" 1024 8192)MB
min_wal_size = $(clamp $((memory / 8)) 128 1024)MB
wal_buffers = 16MB
wal_compression = $(compression wal_compression)
default_toast_compression = $(compression default_toast_compression)
effective_io_concurrency = 256
autovacuum_max_workers = $(clamp "$cores" 2 4)
autovacuum_naptime = 30s
CONF
}

clamp() { # VALUE LOW HIGH
  echo $(($1 < $2 ? $2 : $1 > $3 ? $3 : $1))
}

# The memory that this machine or container may use.
memory_mb() {
  local kb limit
  kb=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
  limit=$(cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null | head -n 1) || true
  if [[ $limit =~ ^[0-9]{1,15}$ ]] && ((limit / 1024 < kb)); then kb=$((limit / 1024)); fi
  echo $((kb / 1024))
}

# lz4, unless this PostgreSQL was built without it.
compression() { # SETTING
  if postgres_program postgres -D "$(view)/data" -c "$1=lz4" -C "$1" >/dev/null 2>&1; then echo lz4; else echo pglz; fi
}
