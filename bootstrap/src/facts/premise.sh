# What a plan rests on, as one word: the registration, the agent's files, what it is configured with. The probe says it, and
# whoever changes the host looks again.
# shellcheck shell=sh
premise() {
    {
        for place in Vault Vault.bootstrap-saved; do
            sed -n 's/.*"instanceID" *: *"\([^"]*\)".*/\1/p' /var/lib/amazon/ssm/$place/Store/RegistrationKey
            echo
        done
        TZ=UTC0 ls -ln /usr/bin/amazon-ssm-agent /snap/amazon-ssm-agent/current
        cat /etc/amazon/ssm/amazon-ssm-agent.json
        cat /etc/systemd/system/*amazon-ssm-agent*.d/bootstrap-proxy.conf /etc/init/amazon-ssm-agent.override
    } 2>/dev/null | cksum | tr ' ' -
}
