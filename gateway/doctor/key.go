package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wattmark/gateway/enrol"
	"wattmark/signer"
)

// key opens the gateway's key for a moment.
func (x *exam) key() (signer.PublicKey, error) {
	k, done, err := x.Key.Open()
	if err != nil {
		return k, err
	}
	return k, done()
}

func keyOpens(_ context.Context, x *exam) ([]Finding, error) {
	k, err := x.key()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault("run wattmark-gateway enrol, which makes it", "there is no key in the store %q", x.Key.Backend), nil
	case errors.Is(err, fs.ErrPermission):
		return nil, skip("this user may not read it: run doctor with sudo")
	case err != nil:
		remedy := "check that the key's store is there, and that the gateway may use it"
		if x.Key.Backend == "file" {
			remedy = "put the key back from its copy; if there is none, have it revoked and run wattmark-gateway enrol --again"
		}
		return fault(remedy, "the key does not open: %v", err), nil
	}
	return ok("%v in the store %q", k.Algorithm(), x.Key.Backend), nil
}

func keyMode(_ context.Context, x *exam) ([]Finding, error) {
	if x.Key.File == "" {
		return nil, skip("the key is in no file")
	}
	return x.secret(x.Key.File, 0o600, 0o077, "and replace the key with wattmark-gateway enrol --rotate if somebody may have read it")
}

// secret looks at a file that nobody else may read: forbidden are bits of its mode.
func (x *exam) secret(path string, mode, forbidden fs.FileMode, besides string) ([]Finding, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, skip("there is no file")
	}
	if has := info.Mode().Perm(); has&forbidden != 0 {
		return fixed(fault(fmt.Sprintf("run chmod %04o %s, %s", mode, path, besides), "others may use %s (mode %04o)", path, has), chmod(path, mode)), nil
	}
	if u := x.runsAs(); !u.may(mayRead, info) {
		return fault(fmt.Sprintf("run chown %s %s", u.name, path), "%s may not read %s", u.name, path), nil
	}
	return ok("nobody else may read %s", path), nil
}

// secrets looks at what else nobody may read: the certificate's key, PIN, password.
func secrets(_ context.Context, x *exam) ([]Finding, error) {
	var all []Finding
	for _, path := range x.Secrets {
		found, err := x.secret(path, 0o640, 0o007, "and ask for another if somebody may have read it")
		if err != nil {
			found = fault("put the file there, or mend the configuration", "%s is not there", path)
		}
		all = append(all, of(filepath.Base(path), found)...)
	}
	return all, nil
}

func keyEnrolled(_ context.Context, x *exam) ([]Finding, error) {
	e, err := enrol.Load(x.State)
	if err != nil {
		return nil, skip("the gateway is not enrolled")
	}
	k, err := x.key()
	if err != nil {
		return nil, skip("the key does not open")
	}
	if k != e.Key {
		return fault("set [key] to the store of the enrolled one; if that is lost, have it revoked and run wattmark-gateway enrol --again",
			"the store holds key %v, and %v is enrolled", k.ID(), e.Key.ID()), nil
	}
	return ok("the key is the one that is enrolled"), nil
}

func keyRotation(_ context.Context, x *exam) ([]Finding, error) {
	if x.Key.File == "" {
		return nil, skip("the key is in no file")
	}
	if _, err := os.Stat(x.Key.File + ".next"); err == nil {
		return warn("run wattmark-gateway enrol --rotate to go on; to give up, remove "+x.Key.File+".next", "a rotation of the key was begun and not finished"), nil
	}
	return ok("no rotation is under way"), nil
}

func enrolment(_ context.Context, x *exam) ([]Finding, error) {
	e, err := enrol.Load(x.State)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := enrol.LoadRequest(x.State); err == nil {
			return fault("have the operator approve it with wattmark member approve, then run wattmark-gateway enrol", "the request for enrolment waits for its approval"), nil
		}
		return fault("run wattmark-gateway enrol", "the gateway is not enrolled: the oracles refuse what it signs"), nil
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, skip("this user may not read it: run doctor with sudo")
	case err != nil:
		return fault("restore the file from a copy, or have the key revoked and run wattmark-gateway enrol --again", "%v", err), nil
	case x.Origin != "" && e.Origin != x.Origin:
		return fault("set uplink.ledger back, or take another state directory", "the gateway is enrolled with the ledger %q, and uplink.ledger is %q", e.Origin, x.Origin), nil
	case x.Name != "" && e.Gateway != x.Name:
		return fault("set gateway.name back, or take another state directory", "the gateway is enrolled as %q, and gateway.name is %q", e.Gateway, x.Name), nil
	}
	return ok("with %s, at leaf %d", e.Origin, e.Leaf), nil
}

func signing(_ context.Context, x *exam) ([]Finding, error) {
	s, err := x.running()
	switch {
	case err != nil:
		return nil, err
	case s.Key.Failure != "":
		return fault("check that the key's store is there and free; readings wait in memory and are then told as gaps", "nothing can be signed: %s", s.Key.Failure), nil
	case s.Key.Failures > 0:
		return warn("check supply and wires of the key's store, and who else uses it", "%d attempts to sign failed since the start", s.Key.Failures), nil
	}
	return ok("%s signed", counted(int(s.Key.Signed), "statement is", "statements are")), nil
}
