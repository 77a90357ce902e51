# Says why an agent may not be Online, in a few lines for a person. Changes nothing. $1 is its unit.
# shellcheck shell=sh disable=SC2034 # the functions before this use it
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
LC_ALL=C
export PATH LC_ALL
agent_unit=$1
echo "amazon-ssm-agent is $(agent_state)"
for log in errors.log amazon-ssm-agent.log; do
    if [ -s "/var/log/amazon/ssm/$log" ]; then
        echo "end of $log:"
        tail -n 3 "/var/log/amazon/ssm/$log"
        break
    fi
done
