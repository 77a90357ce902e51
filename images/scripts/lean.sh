#!/bin/sh
# Takes out of the boot what no test looks at: under emulation every unit, module and process of it is felt.
# Runs inside the root. Usage: lean.sh
set -eu

systemctl set-default multi-user.target

# Mounts and modules that nothing here uses.
systemctl mask dev-hugepages.mount dev-mqueue.mount sys-kernel-config.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount \
    modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service \
    modprobe@fuse.service modprobe@loop.service systemd-modules-load.service kmod-static-nodes.service

# Done when the image was made, or for nobody: records of logins, users, swap, prompts for pass phrases, consoles.
systemctl mask systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-sysusers.service \
    systemd-network-generator.service systemd-tmpfiles-setup-dev.service systemd-remount-fs.service \
    systemd-ask-password-console.path systemd-ask-password-wall.path systemd-initctl.socket \
    systemd-pcrphase.service systemd-pcrphase-sysinit.service getty@.service serial-getty@.service \
    systemd-tmpfiles-clean.timer systemd-journald-audit.socket

# The kernel trusts its own sources of randomness, see the recipes' command lines.
systemctl mask systemd-random-seed.service

# Users may log in as soon as sshd is there: what forbids it, and what lifts that, both go.
systemctl mask systemd-user-sessions.service
ln -s /dev/null /etc/tmpfiles.d/systemd-nologin.conf

# /etc/fstab is still read, and System V scripts still become units; the other generators have nothing to find.
mkdir -p /etc/systemd/system-generators
for generator in bless-boot cryptsetup debug getty gpt-auto hibernate-resume integritysetup rc-local run \
    system-update veritysetup; do
    ln -s /dev/null "/etc/systemd/system-generators/systemd-$generator-generator"
done

# Hundreds of devices need nothing of udev. What is plugged in later is seen as ever.
mkdir -p /etc/systemd/system/systemd-udev-trigger.service.d
{
    printf '[Service]\nExecStart=\nExecStart=-udevadm trigger --type=devices --action=add'
    printf ' --subsystem-match=%s' block input mmc net pci rtc scsi usb virtio
    echo
} > /etc/systemd/system/systemd-udev-trigger.service.d/lab.conf
# networkd and PID 1 ask for some of these by themselves.
printf 'blacklist %s\n' acpi_cpufreq aesni_intel ahci autofs4 bochs cfg80211 drm i2c_i801 iTCO_wdt \
    intel_rapl_common intel_rapl_msr ip_tables kvm kvm_amd kvm_intel lpc_ich pcspkr powernow_k8 psmouse qemu_fw_cfg \
    snd_bcm2835 vc4 vchiq > \
    /etc/modprobe.d/lab.conf

# The walls around systemd's own daemons are seccomp filters, mount namespaces and BPF programs, made anew at every start:
# a sixth of all instructions of a boot.
for unit in systemd-journald systemd-logind systemd-networkd systemd-udevd; do
    mkdir -p "/etc/systemd/system/$unit.service.d"
    {
        echo '[Service]'
        printf '%s=\n' SystemCallFilter SystemCallArchitectures RestrictAddressFamilies IPAddressDeny \
            IPAddressAllow DeviceAllow
        printf '%s=no\n' RestrictNamespaces RestrictRealtime RestrictSUIDSGID LockPersonality \
            MemoryDenyWriteExecute PrivateTmp PrivateMounts PrivateDevices ProtectClock ProtectControlGroups \
            ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables \
            ProtectSystem NoNewPrivileges
        printf 'DevicePolicy=auto\nProtectProc=default\nProcSubset=all\n'
    } > "/etc/systemd/system/$unit.service.d/lab.conf"
done

# The configuration of sshd is the image's; a start of sshd to check it costs as much as the one that serves.
mkdir -p /etc/systemd/system/ssh.service.d
printf '[Service]\nExecStartPre=\n' > /etc/systemd/system/ssh.service.d/lab.conf
