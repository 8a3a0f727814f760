package main

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// LogConfig says what is logged and how it looks.
type LogConfig struct {
	// Level is debug, info, warn or error.
	Level string `koanf:"level"`
	// Format is text for people or json for machines.
	Format string `koanf:"format"`
	// AccessPerSecondMax is how many requests a second are logged, at level debug;
	// beyond it one in a thousand is.
	AccessPerSecondMax int `koanf:"access_per_second_max"`
}

func defaultLogConfig() LogConfig {
	return LogConfig{Level: "info", Format: "text", AccessPerSecondMax: 20}
}

// Validate says everything that is wrong with the settings.
func (c LogConfig) Validate() error {
	var problems []error
	if _, err := zapcore.ParseLevel(c.Level); err != nil {
		problems = append(problems, fmt.Errorf("log.level %q: want debug, info, warn or error", c.Level))
	}
	if c.Format != "text" && c.Format != "json" {
		problems = append(problems, fmt.Errorf("log.format %q: want text or json", c.Format))
	}
	if c.AccessPerSecondMax < 1 {
		problems = append(problems, errors.New("log.access_per_second_max: want at least 1"))
	}
	return errors.Join(problems...)
}

// newLogger writes to standard error: standard output is for answers.
func newLogger(config LogConfig) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(config.Level)
	if err != nil {
		return nil, &configError{err}
	}
	settings := zap.NewProductionConfig()
	settings.Level = zap.NewAtomicLevelAt(level)
	settings.Sampling = nil
	settings.DisableStacktrace = true
	settings.DisableCaller = true
	settings.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	settings.EncoderConfig.EncodeDuration = zapcore.StringDurationEncoder
	if config.Format == "text" {
		settings.Encoding = "console"
		settings.EncoderConfig.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		settings.EncoderConfig.ConsoleSeparator = "  "
	}
	log, err := settings.Build()
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return log, nil
}

// accessLogger samples, so that looking at traffic at level debug does not become
// the traffic.
func accessLogger(log *zap.Logger, config LogConfig) *zap.Logger {
	return log.Named("access").WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, config.AccessPerSecondMax, 1000)
	}))
}
