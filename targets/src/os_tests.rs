//! os-release files as the distributions ship them, shortened to the lines that matter and a few that must not.

use super::*;

const SUPPORTED: [(&str, Family, &str, &str); 22] = [
    (
        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n\
         VERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\nHOME_URL=\"https://www.debian.org/\"\n",
        Family::Debian,
        "debian",
        "12",
    ),
    (
        "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\n\
         VERSION=\"24.04.1 LTS (Noble Numbat)\"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n\
         UBUNTU_CODENAME=noble\nLOGO=ubuntu-logo\n",
        Family::Debian,
        "ubuntu",
        "24.04",
    ),
    (
        "NAME=\"Ubuntu\"\nVERSION=\"16.04.7 LTS (Xenial Xerus)\"\nID=ubuntu\nID_LIKE=debian\n\
         PRETTY_NAME=\"Ubuntu 16.04.7 LTS\"\nVERSION_ID=\"16.04\"\nHOME_URL=\"http://www.ubuntu.com/\"\n",
        Family::Debian,
        "ubuntu",
        "16.04",
    ),
    (
        "PRETTY_NAME=\"Raspbian GNU/Linux 12 (bookworm)\"\nNAME=\"Raspbian GNU/Linux\"\nVERSION_ID=\"12\"\n\
         VERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=raspbian\nID_LIKE=debian\n",
        Family::Debian,
        "raspbian",
        "12",
    ),
    (
        "NAME=\"Linux Mint\"\nVERSION=\"21.3 (Virginia)\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n\
         PRETTY_NAME=\"Linux Mint 21.3\"\nVERSION_ID=\"21.3\"\n",
        Family::Debian,
        "linuxmint",
        "21.3",
    ),
    (
        "NAME=\"Red Hat Enterprise Linux\"\nVERSION=\"9.4 (Plow)\"\nID=\"rhel\"\nID_LIKE=\"fedora\"\n\
         VERSION_ID=\"9.4\"\nPLATFORM_ID=\"platform:el9\"\nPRETTY_NAME=\"Red Hat Enterprise Linux 9.4 (Plow)\"\n",
        Family::RedHat,
        "rhel",
        "9.4",
    ),
    (
        "NAME=\"Rocky Linux\"\nVERSION=\"9.3 (Blue Onyx)\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n\
         VERSION_ID=\"9.3\"\nPLATFORM_ID=\"platform:el9\"\nPRETTY_NAME=\"Rocky Linux 9.3 (Blue Onyx)\"\n",
        Family::RedHat,
        "rocky",
        "9.3",
    ),
    (
        "NAME=\"AlmaLinux\"\nVERSION=\"9.4 (Seafoam Ocelot)\"\nID=\"almalinux\"\n\
         ID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\nPRETTY_NAME=\"AlmaLinux 9.4 (Seafoam Ocelot)\"\n",
        Family::RedHat,
        "almalinux",
        "9.4",
    ),
    (
        "NAME=\"Fedora Linux\"\nVERSION=\"40 (Server Edition)\"\nID=fedora\nVERSION_ID=40\n\
         PRETTY_NAME=\"Fedora Linux 40 (Server Edition)\"\nVARIANT=\"Server Edition\"\nVARIANT_ID=server\n",
        Family::RedHat,
        "fedora",
        "40",
    ),
    (
        "NAME=\"CentOS Linux\"\nVERSION=\"7 (Core)\"\nID=\"centos\"\nID_LIKE=\"rhel fedora\"\nVERSION_ID=\"7\"\n\
         PRETTY_NAME=\"CentOS Linux 7 (Core)\"\nANSI_COLOR=\"0;31\"\nCENTOS_MANTISBT_PROJECT=\"CentOS-7\"\n",
        Family::RedHat,
        "centos",
        "7",
    ),
    (
        "NAME=\"CentOS Stream\"\nVERSION=\"9\"\nID=\"centos\"\nID_LIKE=\"rhel fedora\"\nVERSION_ID=\"9\"\n\
         PRETTY_NAME=\"CentOS Stream 9\"\n",
        Family::RedHat,
        "centos",
        "9",
    ),
    (
        "NAME=\"Oracle Linux Server\"\nVERSION=\"8.9\"\nID=\"ol\"\nID_LIKE=\"fedora\"\nVARIANT=\"Server\"\n\
         VARIANT_ID=\"server\"\nVERSION_ID=\"8.9\"\nPRETTY_NAME=\"Oracle Linux Server 8.9\"\n",
        Family::RedHat,
        "ol",
        "8.9",
    ),
    (
        "NAME=\"Amazon Linux\"\nVERSION=\"2023\"\nID=\"amzn\"\nID_LIKE=\"fedora\"\nVERSION_ID=\"2023\"\n\
         PLATFORM_ID=\"platform:al2023\"\nPRETTY_NAME=\"Amazon Linux 2023.6.20241010\"\n",
        Family::Amazon,
        "amzn",
        "2023",
    ),
    (
        "NAME=\"Amazon Linux\"\nVERSION=\"2\"\nID=\"amzn\"\nID_LIKE=\"centos rhel fedora\"\nVERSION_ID=\"2\"\n\
         PRETTY_NAME=\"Amazon Linux 2\"\nCPE_NAME=\"cpe:2.3:o:amazon:amazon_linux:2\"\n",
        Family::Amazon,
        "amzn",
        "2",
    ),
    (
        "NAME=\"SLES\"\nVERSION=\"15-SP5\"\nVERSION_ID=\"15.5\"\nPRETTY_NAME=\"SUSE Linux Enterprise Server 15 SP5\"\n\
         ID=\"sles\"\nID_LIKE=\"suse\"\nANSI_COLOR=\"0;32\"\n",
        Family::Suse,
        "sles",
        "15.5",
    ),
    (
        "NAME=\"SLES\"\nVERSION=\"16.0\"\nVERSION_ID=\"16.0\"\nPRETTY_NAME=\"SUSE Linux Enterprise Server 16.0\"\n\
         ID=\"sles\"\nID_LIKE=\"suse opensuse\"\nVARIANT_ID=\"server\"\n",
        Family::Suse,
        "sles",
        "16.0",
    ),
    (
        "NAME=\"openSUSE Leap\"\nVERSION=\"15.6\"\nID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n\
         VERSION_ID=\"15.6\"\nPRETTY_NAME=\"openSUSE Leap 15.6\"\n",
        Family::Suse,
        "opensuse-leap",
        "15.6",
    ),
    (
        "NAME=\"openSUSE Tumbleweed\"\n# VERSION=\"20241010\"\nID=\"opensuse-tumbleweed\"\n\
         ID_LIKE=\"opensuse suse\"\nVERSION_ID=\"20241010\"\nPRETTY_NAME=\"openSUSE Tumbleweed\"\n",
        Family::Suse,
        "opensuse-tumbleweed",
        "20241010",
    ),
    (
        "PRETTY_NAME=\"Debian GNU/Linux trixie/sid\"\nNAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=trixie\nID=debian\n",
        Family::Debian,
        "debian",
        "",
    ),
    (
        "NAME=\"VMware Photon OS\"\nVERSION=\"4.0\"\nID=photon\nVERSION_ID=4.0\n\
         PRETTY_NAME=\"VMware Photon OS/Linux\"\n",
        Family::Photon,
        "photon",
        "4.0",
    ),
    // Derivatives that the table does not have by name: `ID_LIKE` decides.
    (
        "NAME=\"MIRACLE LINUX\"\nVERSION=\"9.2 (Feige)\"\nID=\"miraclelinux\"\nID_LIKE=\"rhel fedora\"\n\
         VERSION_ID=\"9.2\"\nPRETTY_NAME=\"MIRACLE LINUX 9.2 (Feige)\"\n",
        Family::RedHat,
        "miraclelinux",
        "9.2",
    ),
    (
        "PRETTY_NAME=\"Armbian 24.8.1 bookworm\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=armbian\n\
         ID_LIKE='debian'\n",
        Family::Debian,
        "armbian",
        "12",
    ),
];

#[test]
fn real_distributions_are_known_by_id_or_by_what_they_are_like() {
    for (text, family, id, version) in SUPPORTED {
        let release = OsRelease::parse(text);
        let distribution = release.distribution().unwrap();
        assert_eq!(distribution.family, family, "{text}");
        assert_eq!((distribution.id.as_str(), release.version_id.as_str()), (id, version));
        assert!(text.contains(&distribution.pretty_name) && !distribution.pretty_name.is_empty());
    }
}

#[test]
fn debian_and_its_children_take_debs_and_the_rest_takes_rpms() {
    for (text, family, ..) in SUPPORTED {
        let expected = if family == Family::Debian { PackageFormat::Deb } else { PackageFormat::Rpm };
        assert_eq!(OsRelease::parse(text).package_format(), Ok(expected), "{text}");
    }
}

#[test]
fn distributions_without_a_package_are_refused_with_their_own_reason() {
    let cases = [
        (
            "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME=\"Alpine Linux v3.20\"\n",
            "Alpine Linux v3.20",
            "musl",
        ),
        (
            "NAME=\"Arch Linux\"\nPRETTY_NAME=\"Arch Linux\"\nID=arch\nBUILD_ID=rolling\n",
            "Arch Linux",
            "pacman",
        ),
        (
            "NAME=NixOS\nID=nixos\nPRETTY_NAME=\"NixOS 24.05 (Uakari)\"\n",
            "NixOS 24.05 (Uakari)",
            "configuration",
        ),
        (
            "NAME=\"Ubuntu Core\"\nVERSION=\"22\"\nID=ubuntu-core\nPRETTY_NAME=\"Ubuntu Core 22\"\nVERSION_ID=\"22\"\n",
            "Ubuntu Core 22",
            "classic",
        ),
        (
            "NAME=\"Fedora Linux\"\nID=fedora\nVERSION_ID=40\nPRETTY_NAME=\"Fedora CoreOS 40.20240906.3.0\"\n\
             VARIANT=\"CoreOS\"\nVARIANT_ID=coreos\n",
            "Fedora CoreOS 40.20240906.3.0",
            "image",
        ),
        (
            "NAME=\"openSUSE MicroOS\"\nID=\"opensuse-microos\"\nID_LIKE=\"suse opensuse opensuse-tumbleweed\"\n\
             PRETTY_NAME=\"openSUSE MicroOS\"\n",
            "openSUSE MicroOS",
            "image",
        ),
        // Of 4.3 to 4.12; later ones are a VARIANT_ID too.
        (
            "NAME=\"Red Hat Enterprise Linux CoreOS\"\nID=\"rhcos\"\nID_LIKE=\"rhel fedora\"\nVERSION_ID=\"4.11\"\n\
             PRETTY_NAME=\"Red Hat Enterprise Linux CoreOS 411.86.202212072103-0 (Ootpa)\"\n",
            "Red Hat Enterprise Linux CoreOS 411.86.202212072103-0 (Ootpa)",
            "image",
        ),
        (
            "NAME=\"Fedora Linux\"\nID=fedora\nVERSION_ID=41\nPRETTY_NAME=\"Fedora Linux 41 (Sway Atomic)\"\n\
             VARIANT=\"Sway Atomic\"\nVARIANT_ID=sway-atomic\n",
            "Fedora Linux 41 (Sway Atomic)",
            "image",
        ),
        // Since SLE 16 the immutable one has the ID of the other, and says it in VARIANT_ID or in ID_LIKE.
        (
            "NAME=\"SLES\"\nVERSION_ID=\"16.0\"\nPRETTY_NAME=\"SUSE Linux Enterprise Server 16.0\"\nID=\"sles\"\n\
             ID_LIKE=\"suse opensuse\"\nVARIANT_ID=\"transactional\"\n",
            "SUSE Linux Enterprise Server 16.0",
            "image",
        ),
        (
            "NAME=\"SLES\"\nVERSION_ID=\"16.0\"\nPRETTY_NAME=\"SUSE Linux Enterprise Server 16.0\"\nID=\"sles\"\n\
             ID_LIKE=\"suse opensuse sle-micro sl-micro microos opensuse-microos\"\nVARIANT_ID=\"transactional\"\n",
            "SUSE Linux Enterprise Server 16.0",
            "image",
        ),
        (
            "NAME=\"SL-Micro\"\nVERSION_ID=\"6.2\"\nPRETTY_NAME=\"SUSE Linux Micro 6.2\"\nID=\"sles\"\n\
             ID_LIKE=\"suse opensuse sle-micro sl-micro microos opensuse-microos\"\n",
            "SUSE Linux Micro 6.2",
            "image",
        ),
        (
            "ID=flatcar\nID_LIKE=coreos\nPRETTY_NAME=\"Flatcar Container Linux\"\n",
            "Flatcar Container Linux",
            "image",
        ),
        (
            "NAME=Buildroot\nVERSION=2024.02\nID=buildroot\nPRETTY_NAME=\"Buildroot 2024.02\"\n",
            "Buildroot 2024.02",
            "ID_LIKE",
        ),
        ("", "linux", "ID_LIKE"),
    ];
    for (text, name, word) in cases {
        let refusal = OsRelease::parse(text).distribution().unwrap_err();
        assert_eq!(refusal.pretty_name, name);
        assert!(refusal.reason.contains(word), "{refusal}");
        assert!(refusal.to_string().starts_with(name), "{refusal}");
    }
}

#[test]
fn an_immutable_distribution_has_the_package_format_of_what_it_is_like() {
    for (text, format) in [
        ("ID=rhcos\nID_LIKE=\"rhel fedora\"\n", Some(PackageFormat::Rpm)),
        ("ID=sl-micro\nID_LIKE=suse\n", Some(PackageFormat::Rpm)),
        ("ID=fedora\nVARIANT_ID=coreos\n", Some(PackageFormat::Rpm)),
        ("ID=flatcar\nID_LIKE=coreos\n", None),
    ] {
        let release = OsRelease::parse(text);
        assert_eq!(release.package_format().ok(), format, "{text}");
        assert!(release.distribution().is_err_and(|refusal| refusal.reason == IMMUTABLE), "{text}");
    }
}

#[test]
fn no_id_is_both_supported_and_refused() {
    for (id, _) in FAMILIES {
        assert_eq!(FAMILIES.iter().filter(|(other, _)| *other == id).count(), 1, "{id}");
        assert!(UNSUPPORTED.iter().all(|(other, _)| *other != id), "{id}");
    }
}
