package doctor

import "context"

// screen wants the screen to show something, where there is one.
func screen(_ context.Context, x *exam) ([]Finding, error) {
	return x.shown(func(screen, _ *shownBy) *shownBy { return screen }, "check its supply, SDA, SCL and display.address; take screen out of [display] if it is not there", "the screen")
}

// lamp wants the lamp to work, where there is one.
func lamp(_ context.Context, x *exam) ([]Finding, error) {
	return x.shown(func(_, lamp *shownBy) *shownBy { return lamp }, "check display.lamp and that nothing else has the pin; the service needs the group gpio", "the lamp")
}

// shownBy is a screen or a lamp, and why it shows nothing.
type shownBy struct {
	there   bool
	failure string
}

// shown tells of the one that which picks of screen and lamp. Only the gateway that runs
// knows: it has them.
func (x *exam) shown(which func(screen, lamp *shownBy) *shownBy, remedy, name string) ([]Finding, error) {
	if !x.Shows {
		return nil, nil
	}
	s, err := x.running()
	if err != nil {
		return nil, err
	}
	if s.Display == nil {
		return nil, nil // it runs with another configuration, which is said
	}
	of := which(&shownBy{s.Display.Screen, s.Display.ScreenFailure}, &shownBy{s.Display.Lamp, s.Display.LampFailure})
	switch {
	case !of.there:
		return nil, nil
	case of.failure != "":
		return fault(remedy, "%s shows nothing: %s", name, of.failure), nil
	}
	return ok("%s shows how it fares", name), nil
}
