#!/bin/sh
# Makes a board out of a QEMU machine, with what a real one has: a serial port, commands for its power, a card behind a
# multiplexer. `hil` knows nothing of it but board.toml.
# Usage: fake-board.sh DIR TEMPLATE
#   DIR       where it is made
#   TEMPLATE  a directory that `hil snapshot x86_64` printed: kernel's image, keys
set -eu

mkdir -p "$1"
dir=$(cd "$1" && pwd)
template=$2

value() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$template/machine.json"; }
image=$(value image)
append=$(value append)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

qemu-img convert -O raw "$image/disk.qcow2" "$dir/image.raw"
cp --sparse=always "$dir/image.raw" "$dir/card.raw"
cp "$template/initrd" "$template/id_ed25519" "$dir/"
echo "[127.0.0.1]:$port $(cut -d ' ' -f 1,2 "$template/ssh_host_ed25519_key.pub")" > "$dir/known_hosts"

cat > "$dir/power-on" <<END
#!/bin/sh
set -eu
[ -e "$dir/card-in-board" ] || { echo "no card in the board" >&2; exit 1; }
qemu-system-x86_64 -nodefaults -no-user-config -display none -M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 512 \\
    -kernel "$image/vmlinuz" -initrd "$dir/initrd" -append "$append" \\
    -drive if=none,id=card,format=raw,cache=unsafe,file="$dir/card.raw" -device virtio-blk-pci,drive=card \\
    -netdev user,id=n0,hostfwd=tcp:127.0.0.1:$port-:22 -device virtio-net-pci,netdev=n0,romfile= \\
    -chardev pty,id=serial -serial chardev:serial -daemonize -pidfile "$dir/pid" > "$dir/said"
ln -sfn "\$(sed -n 's/.*redirected to \(\/dev\/[^ ]*\).*/\1/p' "$dir/said")" "$dir/tty"
END
cat > "$dir/power-off" <<END
#!/bin/sh
pid=\$(cat "$dir/pid" 2>/dev/null) || exit 0
kill -KILL "\$pid" 2>/dev/null
while kill -0 "\$pid" 2>/dev/null; do sleep 0.1; done
rm -f "$dir/pid" "$dir/tty"
END
cat > "$dir/mux" <<END
#!/bin/sh
if [ -e "$dir/pid" ]; then
    echo "the board has power; its card is in use" >&2
    exit 1
fi
case \$1 in
controller) rm -f "$dir/card-in-board" ;;
board) touch "$dir/card-in-board" ;;
esac
END
chmod 755 "$dir/power-on" "$dir/power-off" "$dir/mux"

cat > "$dir/board.toml" <<END
name = "fake-board"
kind = "x86_64"
controller = "10.0.2.2"
listen = "127.0.0.1"
serial = { device = "tty" }
power = { on = ["$dir/power-on"], off = ["$dir/power-off"] }
ssh = { address = "127.0.0.1", port = $port, identity = "id_ed25519", known_hosts = "known_hosts" }

[media]
to_controller = ["$dir/mux", "controller"]
to_board = ["$dir/mux", "board"]
device = "card.raw"
image = "image.raw"
END
echo "$dir/board.toml"
