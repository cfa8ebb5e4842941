#!/bin/sh
# Rolls out a version function by function with Knative's traffic, and rolls it back: docs/rollout.md.
#
# It keeps its whole state in the cluster, so that anyone can continue where someone else stopped. While a
# candidate is tried, a function's traffic names two revisions: other revisions applied meanwhile get none.
# Knative names the revisions: a template that names one refuses the next `kubectl apply`.
set -eu

NAMESPACE=${NAMESPACE:-pongpong}
TIMEOUT=${TIMEOUT:-180s}
CURL_IMAGE=${CURL_IMAGE:-docker.io/curlimages/curl:8.12.1}
# A new prober must find this URL up.
TRY_URL=${TRY_URL:-https://example.com/}

usage() {
    cat >&2 <<'END'
usage: infra/rollout/rollout.sh COMMAND ...

  status     FUNCTION|all              who gets how much
  canary     FUNCTION|all TAG [PERCENT]  starts the image's TAG, and gives it PERCENT (10; 0: only its own URL)
  try        FUNCTION                  asks the candidate by its own URL, from within the cluster
  promote    FUNCTION|all              gives the candidate everything
  rollback   FUNCTION|all              takes everything away from the candidate, or from what was promoted last
  blue-green FUNCTION TAG              canary 0, try, promote; or rollback, if it does not answer as it should
  hold       FUNCTION|all              keeps what is applied next from getting any traffic, until `canary`

environment: NAMESPACE (pongpong), TIMEOUT (180s) of each wait; CURL_IMAGE, that asks a candidate; TRY_URL
(https://example.com/), what a new prober must find to be up
END
    exit 2
}

say() {
    printf '%-28s %s\n' "$function" "$*"
}

kube() {
    kubectl --namespace "$NAMESPACE" "$@"
}

each() {
    if [ "$1" != all ]; then
        printf '%s\n' "$1"
        return
    fi
    kube get ksvc --selector app.kubernetes.io/part-of=pongpong \
        --output 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}'
}

STATE='image={.spec.template.spec.containers[0].image}{"\n"}'
STATE=$STATE'scale={.spec.template.metadata.annotations.autoscaling\.knative\.dev/initial-scale}{"\n"}'
STATE=$STATE'created={.status.latestCreatedRevisionName}{"\n"}'
STATE=$STATE'ready={.status.latestReadyRevisionName}{"\n"}'
STATE=$STATE'previous={.metadata.annotations.pongpong\.io/previous-revision}{"\n"}'
STATE=$STATE'{range .spec.traffic[*]}traffic={.tag},{.percent},{.revisionName}{"\n"}{end}'

# Sets image, scale, created, ready, previous, candidate, share (of the candidate), stable, pinned (stable, if
# traffic names it; otherwise the latest ready revision).
look() {
    image='' scale='' created='' ready='' previous='' candidate='' share=0 stable='' pinned=''
    state=$(kube get ksvc "$function" --output "jsonpath=$STATE") || return 1
    while IFS='=' read -r name value; do
        case $name in
        image) image=$value ;;
        scale) scale=$value ;;
        created) created=$value ;;
        ready) ready=$value ;;
        previous) previous=$value ;;
        traffic) look_at_target "$value" ;;
        esac
    done <<END
$state
END
    stable=${pinned:-$ready}
}

# TAG,PERCENT,REVISION
look_at_target() {
    revision=${1##*,}
    percent=${1#*,}
    percent=${percent%,*}
    if [ "${1%%,*}" = candidate ]; then
        candidate=${revision:-latest}
        share=${percent:-0}
    elif [ "${percent:-0}" -gt 0 ]; then
        pinned=$revision
    fi
}

patch() {
    kube patch ksvc "$function" --type "$1" --patch "$2" >/dev/null
}

traffic() {
    patch merge "{\"spec\":{\"traffic\":$1}}"
}

everything_to() {
    printf '[{"revisionName":"%s","percent":100}]' "$1"
}

# Waits until the gateways have the routes: only then is the printed state true. A latest revision that does
# not start makes the Service unready, but not its routes, which is enough for a rollback.
routed() {
    kube wait "ksvc/$function" --for condition=RoutesReady --timeout "$TIMEOUT" >/dev/null
}

# IMAGE with another tag; a registry may have a port.
retagged() {
    name=${1%@*}
    case ${name##*/} in
    *:*) name=${name%:*} ;;
    esac
    printf '%s:%s' "$name" "$2"
}

status_one() {
    look || return 1
    if [ -n "$candidate" ]; then
        say "$stable $((100 - share)) %, candidate $candidate $share %  ($image)"
    elif [ -n "$pinned" ] && [ "$pinned" != "$ready" ]; then
        say "$stable 100 %, held there: $ready gets nothing  ($image)"
    else
        say "$stable 100 %  ($image)"
    fi
}

hold_one() {
    look || return 1
    if [ -n "$candidate" ]; then
        say "has a candidate: promote or rollback first"
        return 1
    fi
    traffic "$(everything_to "$stable")" || return 1
    say "held at $stable"
}

canary_one() {
    look || return 1
    new=$(retagged "$image" "$tag")
    if [ -n "$candidate" ] && [ "$image" != "$new" ]; then
        say "has a candidate already ($image): promote or rollback first"
        return 1
    fi
    if [ -z "$candidate" ] && [ "$image" = "$new" ] && [ "$stable" = "$created" ]; then
        say "has $tag already"
        return 0
    fi
    started=yes
    if [ "$image" != "$new" ]; then
        start "$new" || return 1
    elif [ -z "$candidate" ]; then
        # Applied while traffic was pinned, or tried before: then it is ready even if no pod has started.
        started=no
        traffic "$(with_latest)" || return 1
    fi
    if ! kube wait "ksvc/$function" --for condition=Ready --timeout "$TIMEOUT" >/dev/null; then
        why=$(kube get ksvc "$function" --output 'jsonpath={.status.conditions[?(@.type=="Ready")].message}')
        look || return 1
        traffic "$(everything_to "$stable")"
        say "$tag does not start, and gets nothing: $why$(waiting_for "$created")"
        return 1
    fi
    look || return 1
    if [ "$ready" = "$stable" ]; then
        traffic '[{"latestRevision":true,"percent":100}]' || return 1
        say "$tag is what runs already ($stable)"
        return 0
    fi
    if [ "$started" = no ]; then
        routed || return 1
        if ! try_one; then
            traffic "$(everything_to "$stable")"
            return 1
        fi
    fi
    traffic "$(printf '[{"revisionName":"%s","percent":%s},{"revisionName":"%s","percent":%s,"tag":"candidate"}]' \
        "$stable" $((100 - percent_wanted)) "$ready" "$percent_wanted")" || return 1
    routed || return 1
    say "$stable $((100 - percent_wanted)) %, candidate $ready $percent_wanted %"
}

# Why a pod of a revision waits, such as for an image that cannot be pulled: Knative says only `Initial scale
# was never achieved`.
waiting_for() {
    kube get pods --selector "serving.knative.dev/revision=$1" \
        --output 'jsonpath={range .items[*].status.containerStatuses[*].state.waiting} ({.reason}: {.message}){end}' || true
}

with_latest() {
    printf '[{"revisionName":"%s","percent":100},{"latestRevision":true,"percent":0,"tag":"candidate"}]' "$stable"
}

# In one patch, so that the new revision has no traffic at any time. With an initial-scale, a revision is
# ready only when its pods are: an image that does not start never gets traffic.
start() {
    [ "${scale:-0}" != 0 ] || scale=1
    patch json "[
        {\"op\": \"test\", \"path\": \"/spec/template/spec/containers/0/image\", \"value\": \"$image\"},
        {\"op\": \"replace\", \"path\": \"/spec/template/spec/containers/0/image\", \"value\": \"$1\"},
        {\"op\": \"add\", \"path\": \"/spec/template/metadata/annotations/autoscaling.knative.dev~1initial-scale\",
         \"value\": \"$scale\"},
        {\"op\": \"add\", \"path\": \"/spec/traffic\", \"value\": $(with_latest)}
    ]"
}

# A check of an endpoint that does not exist: its result goes only to the caller.
check() {
    printf '[{"endpoint_id":0,"user_id":0,"scheduled_at":"2026-01-01T00:00:00Z","failure_threshold":1,'
    printf '"success_threshold":1,"target":{"kind":"http","url":"%s","timeout_ms":10000,"retries":1}}]' "$TRY_URL"
}

try_one() {
    look || return 1
    if [ -z "$candidate" ]; then
        say "has no candidate"
        [ "$which" = all ]
        return
    fi
    url=http://candidate-$function.$NAMESPACE.svc.cluster.local
    if [ "$function" = check-run ]; then
        wanted='"status":"up"'
        set -- --header 'ce-specversion: 1.0' --header 'ce-id: try' --header 'ce-source: /pongpong/rollout' \
            --header 'ce-type: io.pongpong.check.requested.v1' --header 'content-type: application/json' \
            --data "$(check)" "$url/"
    else
        wanted='200 OK'
        set -- "$url/ready"
    fi
    pod=try-$function-$$
    answer=$(kube run "$pod" --image "$CURL_IMAGE" --labels app=rollout,app.kubernetes.io/part-of=pongpong \
        --restart Never --rm --attach --quiet \
        --overrides "$(overrides "$pod")" --override-type strategic \
        --command -- curl --silent --show-error --include --max-time 60 "$@" 2>&1) || true
    case $answer in
    *"$wanted"*) say "the candidate answers as it should" ;;
    *)
        say "the candidate does not answer as it should: $answer"
        return 1
        ;;
    esac
}

overrides() {
    cat <<END
{"spec": {
    "automountServiceAccountToken": false, "enableServiceLinks": false,
    "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "$1", "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]}}}]
}}
END
}

promote_one() {
    look || return 1
    if [ -z "$candidate" ]; then
        say "has no candidate"
        [ "$which" = all ]
        return
    fi
    if [ "$candidate" != "$ready" ] || [ "$candidate" != "$created" ]; then
        say "was changed after the candidate $candidate was made ($created): rollback, and begin again"
        return 1
    fi
    # From here on, applied revisions get traffic at once again.
    patch merge "{\"metadata\":{\"annotations\":{\"pongpong.io/previous-revision\":\"$stable\"}},\"spec\":{\"traffic\":[{\"latestRevision\":true,\"percent\":100}]}}" || return 1
    routed || return 1
    say "$candidate 100 % (before: $stable)"
}

# Does not wait: with fifty functions, the last one would serve a broken version for minutes.
rollback_one() {
    look || return 1
    if [ -n "$candidate" ]; then
        back_to "$stable" || return 1
        say "$stable 100 % (candidate $candidate had $share %)"
        return
    fi
    if [ -z "$previous" ]; then
        say "$stable 100 %: there is nothing to take back"
        [ "$which" = all ]
        return
    fi
    if ! kube get revision "$previous" --output name >/dev/null; then
        say "$previous is no more: canary $function with the tag that it had"
        return 1
    fi
    back_to "$previous" || return 1
    say "$previous 100 % ($stable had it)"
}

# Clears the annotation, so that a repeated rollback does not go back one more version.
back_to() {
    patch merge "{\"metadata\":{\"annotations\":{\"pongpong.io/previous-revision\":null}},\"spec\":{\"traffic\":$(everything_to "$1")}}"
}

# Whether only one version would be rolled back. If only some functions had the last version, the others would
# go back too far.
one_version() {
    [ "$which" = all ] || return 0
    versions=$(kube get ksvc --selector app.kubernetes.io/part-of=pongpong --output 'jsonpath={range .items[*]}{.spec.template.spec.containers[0].image}{" "}{.metadata.annotations.pongpong\.io/previous-revision}{.spec.traffic[*].tag}{"\n"}{end}')
    versions=$(printf '%s\n' "$versions" | awk 'NF > 1 { sub(/.*:/, "", $1); print $1 }' | sort | uniq -c)
    [ "$(printf '%s\n' "$versions" | wc -l)" -gt 1 ] || return 0
    printf 'There is more than one version that could be taken back:\n%s\n' "$versions" >&2
    echo "Roll back function by function: $0 status all, $0 rollback FUNCTION" >&2
    return 1
}

# Runs COMMAND_one for each of $which; prints how many failed. With `stop`, stops at the first failure.
for_each() {
    failed=0
    # Not in a pipe, which would run in a subshell.
    names=$(each "$which")
    [ -n "$names" ] || { echo "no functions in namespace $NAMESPACE" >&2 && exit 1; }
    for function in $names; do
        if "$1"; then continue; fi
        failed=$((failed + 1))
        [ "${2-}" != stop ] || break
    done
    [ "$failed" = 0 ]
}

[ $# -ge 2 ] || usage
command=$1 which=$2
case $command in
status) for_each status_one ;;
hold) for_each hold_one ;;
canary)
    [ $# -ge 3 ] || usage
    tag=$3 percent_wanted=${4:-10}
    case $percent_wanted in
    '' | *[!0-9]*) usage ;;
    esac
    [ "$percent_wanted" -lt 100 ] || usage
    if ! for_each canary_one stop; then
        echo "Stopped. Those that have a candidate keep it; to take all back: $0 rollback $which"
        exit 1
    fi
    echo "Watch it (docs/rollout.md); then: $0 promote $which, or: $0 rollback $which"
    ;;
try) for_each try_one ;;
promote) for_each promote_one ;;
rollback)
    one_version
    ok=0
    for_each rollback_one || ok=1
    for function in $names; do
        routed || { say "is not routed yet: kubectl -n $NAMESPACE describe ksvc $function" && ok=1; }
    done
    [ "$ok" = 0 ] && echo "Taken back. What is applied from now on gets no traffic before the next canary."
    exit "$ok"
    ;;
blue-green)
    [ $# -ge 3 ] || usage
    tag=$3 percent_wanted=0
    for_each canary_one || exit 1
    if ! for_each try_one; then
        for_each rollback_one
        exit 1
    fi
    for_each promote_one
    ;;
*) usage ;;
esac
