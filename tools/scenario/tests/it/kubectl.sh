#!/bin/sh
# Simulates kubectl on a cluster with Knative: keeps Services as files, makes a revision of each template, and
# records its calls. The real kubectl evaluates patches and JSONPath.
set -eu
echo "$*" >>"$CLUSTER/calls"
[ "$1 $2" = "--namespace pongpong" ]
shift 2

show() { # FILE OUTPUT
    "$KUBECTL" patch --local --filename "$1" --type merge --patch '{}' --output "$2"
}

change() { # FILE TYPE PATCH
    "$KUBECTL" patch --local --filename "$1" --type "$2" --patch "$3" --output json >"$1.new"
    mv "$1.new" "$1"
}

# Simulates the parts of Knative's controller that matter here. An image with the tag `broken` does not start.
reconcile() { # NAME
    file=$CLUSTER/services/$1.json
    template=$(show "$file" 'jsonpath={.spec.template}')
    if [ "$template" != "$(cat "$CLUSTER/$1.template")" ]; then
        printf %s "$template" >"$CLUSTER/$1.template"
        generation=$(($(find "$CLUSTER/revisions" -name "$1-0*" | wc -l) + 1))
        revision=$1-0000$generation
        case $template in
        *:broken\"*)
            condition='{"type": "Ready", "status": "False", "message": "container exited with 1"}'
            change "$file" merge "{\"status\": {\"latestCreatedRevisionName\": \"$revision\", \"conditions\": [$condition]}}"
            echo no >"$CLUSTER/revisions/$revision"
            ;;
        *)
            change "$file" merge "{\"status\": {\"latestCreatedRevisionName\": \"$revision\", \"latestReadyRevisionName\": \"$revision\", \"conditions\": [{\"type\": \"Ready\", \"status\": \"True\"}]}}"
            echo yes >"$CLUSTER/revisions/$revision"
            ;;
        esac
    fi
    # Keeps every state, to check the rules on it later.
    number=$(find "$CLUSTER/history" -name '*.json' | wc -l)
    cp "$file" "$CLUSTER/history/$number.json"
}

verb=$1
shift
case "$verb $1" in
"get ksvc")
    for output in "$@"; do :; done
    if [ "$2" = --selector ]; then
        [ "$3" = app.kubernetes.io/part-of=pongpong ]
        each=${output#"jsonpath={range .items[*]}"}
        for file in "$CLUSTER"/services/*.json; do
            show "$file" "jsonpath=${each%"{end}"}"
        done
    else
        if [ ! -f "$CLUSTER/services/$2.json" ]; then
            echo "Error from server (NotFound): services.serving.knative.dev \"$2\" not found" >&2
            exit 1
        fi
        show "$CLUSTER/services/$2.json" "$output"
    fi
    ;;
"get pods") # of a revision that does not start
    printf ' (ImagePullBackOff: Back-off pulling image)'
    ;;
"get revision") [ -f "$CLUSTER/revisions/$2" ] || exit 1 ;;
"patch ksvc")
    [ "$3 $5" = "--type --patch" ]
    change "$CLUSTER/services/$2.json" "$4" "$6"
    reconcile "$2"
    ;;
"create ksvc") reconcile "$2" ;; # by the tests: what somebody else applied
"wait ksvc/"*)
    [ "$2 $4" = "--for --timeout" ]
    [ "$3" = condition=RoutesReady ] ||
        show "$CLUSTER/services/${1#ksvc/}.json" 'jsonpath={.status.conditions[0].status}' | grep -q True
    ;;
"run "*)
    pod=$1
    image=$3
    while [ "$1" != --overrides ]; do shift; done
    echo "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"$pod\"}, \"spec\": {\"restartPolicy\": \"Never\", \"containers\": [{\"name\": \"$pod\", \"image\": \"$image\"}]}}" >"$CLUSTER/pod.json"
    change "$CLUSTER/pod.json" strategic "$2"
    while [ "$1" != -- ]; do shift; done
    for argument in "$@"; do
        echo "$argument"
    done >"$CLUSTER/asked"
    cat "$CLUSTER/answer"
    ;;
*)
    echo "kubectl $verb $*: not known here" >&2
    exit 1
    ;;
esac
