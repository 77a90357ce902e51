# Says why an agent may not be Online, in a few lines for a person. Changes nothing.
# shellcheck shell=sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
LC_ALL=C
export PATH LC_ALL
echo "amazon-ssm-agent is $(systemctl is-active amazon-ssm-agent.service)"
for log in errors.log amazon-ssm-agent.log; do
    if [ -s "/var/log/amazon/ssm/$log" ]; then
        echo "end of $log:"
        tail -n 3 "/var/log/amazon/ssm/$log"
        break
    fi
done
