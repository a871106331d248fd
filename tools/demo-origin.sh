#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# tools/demo-origin.sh DIR [PAGES]: an HTTPS origin on a free loopback port, with a CA made on the spot.
#
# Everything lies in DIR: ca.pem, urls (PAGES different ones, 1,000 if not given), port, nginx.pid.  It goes on until
# somebody ends the process in DIR/nginx.pid; tools/try.sh does.
set -euo pipefail
dir=$(mkdir -p "${1:?usage: tools/demo-origin.sh DIR [PAGES]}" && cd "$1" && pwd)
pages=${2:-1000}
nginx=$(PATH=$PATH:/usr/sbin:/sbin command -v nginx) || {
    echo "demo-origin: no nginx; tools/deps.sh demo installs it" >&2
    exit 1
}

make_certificates() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=thrum demo CA" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
        -keyout "$dir/ca.key" -out "$dir/ca.pem"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" \
        -keyout "$dir/server.key" -out "$dir/server.csr"
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >"$dir/server.ext"
    openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -set_serial 2 -days 2 \
        -extfile "$dir/server.ext" -out "$dir/server.pem"
}

make_pages() { # from 1 to some 16 KiB each, no two alike
    mkdir -p "$dir/root"
    awk -v pages="$pages" -v dir="$dir/root" 'BEGIN {
        for (page = 1; page <= pages; page++) {
            file = dir "/" page ".html"
            printf "<!doctype html><title>Page %d</title><h1>Page %d of %d</h1>\n", page, page, pages > file
            lines = 10 + (page * 7919) % 190
            for (line = 1; line <= lines; line++)
                printf "<p>Line %d of page %d: threads woven on every core at once, %d times over.</p>\n",
                       line, page, (page * line) % 9973 > file
            close(file)
        }
    }'
}

write_config() { # PORT
    cat >"$dir/nginx.conf" <<CONF
pid $dir/nginx.pid;
error_log $dir/error.log;
worker_processes auto;
events { worker_connections 4096; }
http {
    types { text/html html; }
    access_log off;
    client_body_temp_path $dir/tmp; proxy_temp_path $dir/tmp; fastcgi_temp_path $dir/tmp;
    uwsgi_temp_path $dir/tmp; scgi_temp_path $dir/tmp;
    keepalive_requests 100000;
    open_file_cache max=2000;
    server {
        listen 127.0.0.1:$1 ssl backlog=4096;
        server_name localhost;
        ssl_certificate $dir/server.pem;
        ssl_certificate_key $dir/server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        root $dir/root;
    }
}
CONF
}

# Nobody can reserve a port for nginx: take one at random below the range of outgoing connections, until one is free.
start() {
    local port try
    for try in 1 2 3 4 5 6 7 8 9 10; do
        port=$((20000 + (RANDOM + try) % 10000))
        write_config "$port"
        if "$nginx" -p "$dir" -c "$dir/nginx.conf" 2>>"$dir/error.log"; then
            echo "$port" >"$dir/port"
            return
        fi
    done
    cat "$dir/error.log" >&2
    exit 1
}

chmod 755 "$dir" # started by root, nginx reads the pages as somebody else
make_certificates >"$dir/openssl.log" 2>&1 || {
    cat "$dir/openssl.log" >&2
    exit 1
}
make_pages
start
for ((page = 1; page <= pages; page++)); do
    echo "https://localhost:$(<"$dir/port")/$page.html"
done >"$dir/urls"
