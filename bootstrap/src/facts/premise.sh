# What a plan rests on, as one word: the registration, the agent's files, what it is configured with. The probe says it, and
# whoever changes the host looks again.
# shellcheck shell=sh
premise() {
    # As few processes as can be: on a small board each costs milliseconds.
    sum=$(
        {
            for place in Vault Vault.bootstrap-saved; do
                key=/var/lib/amazon/ssm/$place/Store/RegistrationKey
                [ ! -f $key ] || sed -n 's/.*"instanceID" *: *"\([^"]*\)".*/\1/p' $key
                echo
            done
            TZ=UTC0 ls -ln /usr/bin/amazon-ssm-agent /usr/sbin/amazon-ssm-agent /snap/amazon-ssm-agent/current
            cat /etc/amazon/ssm/amazon-ssm-agent.json \
                /etc/systemd/system/*amazon-ssm-agent*.d/zz-bootstrap-proxy.conf /etc/init/amazon-ssm-agent.override
        } 2>/dev/null | cksum
    )
    [ -z "$sum" ] || echo "${sum%% *}-${sum#* }"
}
