#!/bin/bash
# As in the official image, without what only its first start with passwords from the environment needs.
set -e
umask 0002
if [ "$1" != eswrapper ]; then
    exec "$@"
fi
exec /usr/share/elasticsearch/bin/elasticsearch
