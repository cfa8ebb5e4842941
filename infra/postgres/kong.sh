#!/bin/sh
# Runs once, when the volume is empty: creates Kong's database. `function migrate` creates the functions'
# roles.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$KONG_PG_PASSWORD" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE kong LOGIN PASSWORD :'password';
CREATE DATABASE kong OWNER kong;
SQL
