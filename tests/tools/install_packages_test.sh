#!/bin/sh
# install_packages_test.sh INSTALL_PACKAGES: on a system that lacks a package, root installs it and others are told how to.
# dpkg-query, apt-get and id are stand-ins here: nothing is installed.
set -eu
house=$(mktemp -d)
trap 'rm -rf "$house"' EXIT
mkdir "$house/tools" "$house/bin"
cp "$1" "$house/tools/install_packages"
printf '# a remark\nbuild here  present\nbuild gone  absent\nlint  other absent\n' >"$house/packages.txt"
cat >"$house/bin/dpkg-query" <<'END'
#!/bin/sh
echo "installed here"
exit 1
END
printf '#!/bin/sh\necho "$@" >>"%s/apt-get.log"\n' "$house" >"$house/bin/apt-get"
printf '#!/bin/sh\necho $TEST_USER\n' >"$house/bin/id"
chmod +x "$house/bin/"*
PATH=$house/bin:$PATH

if said=$(TEST_USER=1000 "$house/tools/install_packages" build 2>&1); then echo "no failure: $said"; exit 1; fi
case $said in *"sudo apt-get install --no-install-recommends gone"*) ;; *) echo "no remedy in: $said"; exit 1 ;; esac
[ ! -e "$house/apt-get.log" ]

TEST_USER=0 "$house/tools/install_packages" build >/dev/null
grep -qx 'update -qq' "$house/apt-get.log"
grep -qx 'install -qq -y --no-install-recommends gone' "$house/apt-get.log"

rm "$house/apt-get.log"
printf 'build here  present\n' >"$house/packages.txt"
TEST_USER=0 "$house/tools/install_packages" build
[ ! -e "$house/apt-get.log" ]
